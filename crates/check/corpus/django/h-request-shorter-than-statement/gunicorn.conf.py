workers = 4
timeout = 30
