//! Ruby's settings in code.

use super::ruby;

fn table(name: &str, cases: &[(&str, &[&str])]) {
    for (text, expected) in cases {
        let found = ruby(name, text);
        for line in *expected {
            assert!(
                found.iter().any(|l| l.contains(line)),
                "{text}: {line} is not in {found:?}"
            );
        }
        if expected.is_empty() {
            assert_eq!(found, [""; 0], "{text}");
        }
    }
}

#[test]
fn puma_says_processes_and_threads() {
    table(
        "config/puma.rb",
        &[
            (
                "threads 5, 16\nworkers 3\n",
                &["Puma processes=3 threads=16"],
            ),
            (
                "workers ENV.fetch(\"WEB_CONCURRENCY\") { 2 }\nthreads_count = ENV.fetch(\"RAILS_MAX_THREADS\", 7)\nthreads threads_count, threads_count\n",
                &["Puma processes=2", "threads=7"],
            ),
            (
                "workers Integer(ENV['W'] || 4)\n",
                &["Puma processes=4", "threads=~5"],
            ),
            (
                "max = ENV.fetch('M', 9).to_i\nthreads(1, max)\n",
                &["Puma processes=~1", "threads=9"],
            ),
            (
                "workers Etc.nprocessors\nthreads 1, 2\n",
                &["Puma processes=? threads=2"],
            ),
            ("port 3000\n", &[]),
        ],
    );
    assert_eq!(ruby("lib/threads.rb", "threads 5, 16\n"), [""; 0]);
}

#[test]
fn connections_are_established_with_their_options() {
    table(
        "config/initializers/db.rb",
        &[
            (
                "class R < ActiveRecord::Base\n  establish_connection(adapter: 'postgresql', host: 'h', password: 'oog7eiw0xu', pool: 12)\nend\n",
                &["size=12", "secret <oog7eiw0xu>"],
            ),
            (
                "ActiveRecord::Base.establish_connection({ :adapter => 'postgresql', :max_connections => ENV['P'] || 20 })\n",
                &["size=20"],
            ),
            (
                "ActiveRecord::Base.establish_connection('postgres://u@h/d?pool=30')\n",
                &["size=30"],
            ),
            (
                "c = ActiveRecord::Base.configurations\nc['pool'] = ENV['DB_POOL'] || 15\nActiveRecord::Base.establish_connection(c)\n",
                &["size=15"],
            ),
            (
                "establish_connection(adapter: 'postgresql', pool_size: 9, variables: { statement_timeout: '5s' })\n",
                &["size=~5", "unread <pool_size>"],
            ),
            ("establish_connection(adapter: 'mysql2', pool: 9)\n", &[]),
            (
                "establish_connection :reports\nActiveRecord::Base.establish_connection\nestablish_connection(ENV['X'])\n",
                &[],
            ),
        ],
    );
}

#[test]
fn sequel_has_its_own_words() {
    table(
        "db.rb",
        &[
            (
                "DB = Sequel.connect(ENV.fetch('DATABASE_URL'), max_connections: 10, pool_timeout: 2)\n",
                &["DB", "size=10", "wait=2"],
            ),
            (
                "DB = Sequel.connect('postgres://u:Ahw4iethei@h/d')\n",
                &["size=~4", "secret <Ahw4iethei>"],
            ),
            (
                "DB = Sequel.connect(adapter: 'postgres', host: 'h', max_connections: 6)\n",
                &["size=6"],
            ),
            (
                "DB = Sequel.connect(ENV['U'], pool_size: 50)\n",
                &["size=~4", "unread <pool_size>"],
            ),
            (
                "DB = Sequel.connect('sqlite://x.db')\nDB2 = Sequel.connect(adapter: 'mysql2')\nDB3 = Sequel.sqlite\n",
                &[],
            ),
        ],
    );
}
