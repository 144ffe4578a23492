workers Integer(ENV["WEB_CONCURRENCY"] || 2)
threads_count = Integer(ENV["MAX_THREADS"] || 5)
threads threads_count, threads_count
worker_timeout 15
preload_app!
on_worker_boot do
  ActiveRecord::Base.establish_connection
end
