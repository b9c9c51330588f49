"""The loop that claims and runs what is due, the queues inside it, and who stays.

领取并执行到期工作的循环、公平队列与值守权。
"""
