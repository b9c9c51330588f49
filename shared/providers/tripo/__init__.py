"""Tripo: 3D models from text and pictures.

Tripo：由文字和图片生成三维模型。
"""
