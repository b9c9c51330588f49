"""Qwen-Image: pictures from a service of the operator's own.

Qwen-Image：自建的图像生成服务。
"""
