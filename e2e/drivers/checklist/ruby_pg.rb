# ruby-pg without a framework: the checklist of README.md.
require "pg"

conn = PG.connect
conn.set_notice_receiver do |result|
  puts "notice #{result.error_field(PG::PG_DIAG_SEVERITY)} #{result.error_field(PG::PG_DIAG_MESSAGE_PRIMARY)}"
end
puts "connected as #{conn.exec('select current_user').getvalue(0, 0)}, TLS #{conn.ssl_in_use?}"
conn.exec("set client_min_messages = warning; drop table if exists checklist_rb; reset client_min_messages")
conn.exec("create table checklist_rb (id int primary key, name text)")

conn.prepare("sum", "select $1::int + $2::int")
puts "prepared " + (0...20).map { |n| conn.exec_prepared("sum", [n, 2]).getvalue(0, 0) }.join(" ")

conn.enter_pipeline_mode
3.times do |batch|
  ["select $1::int * 2", "select 1 / ($1::int - 3)", "select $1::int * 3"].each { |text| conn.send_query_params(text, [batch + 2]) }
  conn.pipeline_sync
end
told = []
syncs = 0
while syncs < 3
  begin
    result = conn.get_result
    next if result.nil?
    case result.result_status
    when PG::PGRES_PIPELINE_SYNC then syncs += 1
    when PG::PGRES_PIPELINE_ABORTED then told << "skipped"
    when PG::PGRES_FATAL_ERROR then told << result.error_field(PG::PG_DIAG_SQLSTATE)
    else told << result.getvalue(0, 0)
    end
  end
end
conn.exit_pipeline_mode
puts "pipeline #{told.join(' ')}"

conn.copy_data("copy checklist_rb from stdin") { 1000.times { |n| conn.put_copy_data("#{n}\tname #{n}\n") } }
rows = bytes = 0
conn.copy_data("copy (select * from checklist_rb order by id) to stdout") do
  while (line = conn.get_copy_data)
    rows += 1
    bytes += line.bytesize
  end
end
puts "copy out #{rows} rows #{bytes} bytes"
begin
  conn.copy_data("copy checklist_rb from stdin") { raise "changed my mind" }
rescue RuntimeError => e
  puts "copy fails #{e.message}, then #{conn.exec('select 1').getvalue(0, 0)}"
end

conn.transaction do
  conn.exec("insert into checklist_rb values (5000, 'kept')")
  conn.exec("savepoint a")
  begin
    conn.exec("insert into checklist_rb values (5000, 'again')")
  rescue PG::UniqueViolation => e
    print "error #{e.result.error_field(PG::PG_DIAG_SQLSTATE)} #{e.result.error_field(PG::PG_DIAG_CONSTRAINT_NAME)} in #{conn.transaction_status}"
  end
  conn.exec("rollback to a")
end
puts " and #{conn.exec('select name from checklist_rb where id = 5000').getvalue(0, 0)}"
begin
  conn.exec("selekt 1")
rescue PG::SyntaxError => e
  puts "error #{e.result.error_field(PG::PG_DIAG_SQLSTATE)} at #{e.result.error_field(PG::PG_DIAG_STATEMENT_POSITION)}"
end

conn.exec("do $$ begin raise notice 'a notice'; end $$")
conn.send_query("select repeat('x', 262144) from generate_series(1, 64)")
conn.set_single_row_mode
rows = bytes = 0
conn.get_result.stream_each_row { |row| rows += 1; bytes += row[0].bytesize }
conn.get_last_result
puts "large #{rows} rows #{bytes} bytes"

running = false
conn.set_notice_receiver { running = true }
conn.send_query("do $$ begin raise notice 'running'; perform pg_sleep(60); end $$")
until running
  conn.socket_io.wait_readable(30) or raise "no notice"
  conn.consume_input
  conn.is_busy
end
conn.cancel
begin
  conn.get_last_result
rescue PG::QueryCanceled => e
  puts "cancel #{e.result.error_field(PG::PG_DIAG_SQLSTATE)}, and goes on #{conn.exec('select 7').getvalue(0, 0)}"
end
