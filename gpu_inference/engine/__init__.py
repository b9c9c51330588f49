"""The model on its device: loading, drawing, making it faster.

模型的加载、推理与加速。
"""
