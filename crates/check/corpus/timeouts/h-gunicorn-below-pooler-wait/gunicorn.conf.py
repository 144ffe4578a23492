workers = 2
timeout = 30
