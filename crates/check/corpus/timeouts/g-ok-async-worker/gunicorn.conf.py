workers = 2
worker_class = "uvicorn.workers.UvicornWorker"
timeout = 30
