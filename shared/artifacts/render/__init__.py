"""What a model looks like, drawn on the CPU.

在处理器上绘制模型的预览。
"""
