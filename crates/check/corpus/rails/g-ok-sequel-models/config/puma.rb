threads 1, Integer(ENV.fetch("MAX_THREADS", 5))
