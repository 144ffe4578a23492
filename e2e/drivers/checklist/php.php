<?php
// PHP's pgsql extension, and PDO: the checklist of README.md.

function done($conn, string $sql) {
    $result = pg_query($conn, $sql);
    if ($result === false) { fwrite(STDERR, pg_last_error($conn) . "\n"); exit(1); }
    return $result;
}

/** Sends a text, waits for its result without blocking the socket's other side, and gives it. */
function result_of($conn) {
    $result = pg_get_result($conn);
    while (pg_get_result($conn) !== false);
    return $result;
}

$conn = pg_connect('');
if ($conn === false) exit(1);
echo 'connected as ', pg_fetch_result(done($conn, 'select current_user'), 0, 0), "\n";
done($conn, 'set client_min_messages = warning');
done($conn, 'drop table if exists checklist_php');
done($conn, 'reset client_min_messages');
done($conn, 'create table checklist_php (id int primary key, name text)');

pg_prepare($conn, 'sum', 'select $1::int + $2::int');
echo 'prepared';
for ($n = 0; $n < 20; $n++) echo ' ', pg_fetch_result(pg_execute($conn, 'sum', [$n, 2]), 0, 0);
echo "\npipeline not in this driver\n";

$lines = [];
for ($n = 0; $n < 1000; $n++) $lines[] = "$n\tname $n\n";
pg_copy_from($conn, 'checklist_php', $lines);
$out = pg_copy_to($conn, 'checklist_php');
echo 'copy out ', count($out), ' rows ', strlen(implode('', $out)), " bytes\n";

done($conn, 'begin');
done($conn, "insert into checklist_php values (5000, 'kept')");
done($conn, 'savepoint a');
pg_send_query($conn, "insert into checklist_php values (5000, 'again')");
$result = result_of($conn);
echo 'error ', pg_result_error_field($result, PGSQL_DIAG_SQLSTATE), ' ',
    pg_result_error_field($result, PGSQL_DIAG_CONSTRAINT_NAME), ' in ', pg_transaction_status($conn);
done($conn, 'rollback to a');
done($conn, 'commit');
echo ' and ', pg_fetch_result(done($conn, 'select name from checklist_php where id = 5000'), 0, 0), "\n";
pg_send_query($conn, 'selekt 1');
$result = result_of($conn);
echo 'error ', pg_result_error_field($result, PGSQL_DIAG_SQLSTATE), ' at ',
    pg_result_error_field($result, PGSQL_DIAG_STATEMENT_POSITION), "\n";

done($conn, "do \$\$ begin raise notice 'a notice'; end \$\$");
echo 'notice ', pg_last_notice($conn), "\n";
$result = done($conn, "select repeat('x', 262144) from generate_series(1, 64)");
$bytes = 0;
while ($row = pg_fetch_row($result)) $bytes += strlen($row[0]);
echo 'large ', pg_num_rows($result), " rows $bytes bytes\n";

// It waits for a lock that this connection holds, so that the cancel is certain to meet it.
$other = pg_connect('', PGSQL_CONNECT_FORCE_NEW);
done($conn, 'begin');
done($conn, 'lock table checklist_php');
pg_send_query($other, "set application_name = 'php waits'; select count(*) from checklist_php");
for ($waits = '0'; $waits === '0';)
    $waits = pg_fetch_result(done($conn, "select count(*) from pg_locks where not granted and relation = 'checklist_php'::regclass"), 0, 0);
pg_cancel_query($other);
done($conn, 'commit');
echo 'cancel, and goes on ', pg_fetch_result(done($other, 'select 7'), 0, 0), "\n";

$env = fn($name) => getenv($name);
$pdo = new PDO("pgsql:host={$env('PGHOST')};port={$env('PGPORT')};dbname={$env('PGDATABASE')};sslmode={$env('PGSSLMODE')};"
    . "sslrootcert={$env('PGSSLROOTCERT')}", $env('PGUSER'), $env('PGPASSWORD'));
$statement = $pdo->prepare('select :a::int * :b::int as product');
echo 'PDO prepared';
for ($n = 0; $n < 10; $n++) {
    $statement->execute(['a' => $n, 'b' => 3]);
    echo ' ', $statement->fetchColumn();
}
$pdo->beginTransaction();
$pdo->exec("insert into checklist_php values (6000, 'gone')");
$pdo->rollBack();
$pdo->pgsqlCopyFromArray('checklist_php', ["7000\tby PDO"]);
try { $pdo->query('select 1/0'); } catch (PDOException $error) { echo ' ', $error->getCode(); }
echo ' rows ', $pdo->query('select count(*) from checklist_php')->fetchColumn(), "\n";
