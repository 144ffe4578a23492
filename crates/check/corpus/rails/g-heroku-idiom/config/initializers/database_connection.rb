Rails.application.config.after_initialize do
  ActiveSupport.on_load(:active_record) do
    config = ActiveRecord::Base.configurations[Rails.env]
    config["pool"] = 2
    ActiveRecord::Base.establish_connection(config)
  end
end
