"""The proof that a dying worker loses nothing and pays for nothing twice.

证明：进程随时中断，任务不丢、不重复付费。
"""
