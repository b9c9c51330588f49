"""What a finished file is: whole or broken, what is in it, what it looks like.

这个包负责检查、测量并预览任务产出的模型和图片文件。
"""
