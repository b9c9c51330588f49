"""What a request may point at, and the one way from there to an input kept with its job.

任务的输入：引用、内容检查与保存。
"""
