"""Networks as files for other runtimes: written, opened, made smaller, and compared with PyTorch."""
