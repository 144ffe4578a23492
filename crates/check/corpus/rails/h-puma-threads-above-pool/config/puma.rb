max_threads_count = 16
threads 16, max_threads_count
port ENV.fetch("PORT") { 3000 }
preload_app!
