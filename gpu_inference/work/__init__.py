"""What waits and who works: the queue, the worker, the jobs on disk.

排队、执行与落盘的任务。
"""
