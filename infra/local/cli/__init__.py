"""What people type: run, serve, and what they are shown.

命令行工具：运行、服务与显示。
"""
