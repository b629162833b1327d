"""The page of ``tools/web_demo.py``: what is uploaded, what is predicted for it, and how it is laid out."""
