workers ENV.fetch("WEB_CONCURRENCY", 2).to_i
threads 5, 5
