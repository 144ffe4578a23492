Rails.application.configure do
  config.eager_load = true
  config.active_record.dump_schema_after_migration = false
end
