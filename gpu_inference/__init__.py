"""The Qwen-Image service: makes and edits pictures on one GPU, behind HTTP.

Qwen-Image 推理服务：在一块 GPU 上生成和修改图片。
"""
