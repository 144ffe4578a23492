//! Each form of lock file, and what is none.

use super::*;

fn packages(path: &str, text: &str) -> Vec<(String, String, String)> {
    let mut facts = Facts::default();
    read(FileId(0), Path::new(path), text, &mut facts);
    let shown = |p: &Package| {
        let at = text[p.place.range.clone()].to_owned();
        (p.name.to_owned(), p.version.clone(), at)
    };
    facts.packages.iter().map(shown).collect()
}

#[test]
fn versions_are_found_where_their_tools_write_them() {
    let pool = "psycopg-pool";
    let hikari = "com.zaxxer:HikariCP";
    for (path, text, name, version) in [
        (
            "requirements.txt",
            "a==1\nPsycopg_Pool==3.1.1 ; x > 3\n",
            pool,
            "3.1.1",
        ),
        (
            "requirements/base.txt",
            "psycopg-pool[x]==3.1.1 \\\n --hash=sha256:0\n",
            pool,
            "3.1.1",
        ),
        (
            "poetry.lock",
            "[[package]]\nname = \"x\"\nversion = \"1\"\n\n[[package]]\nname = \"psycopg-pool\"\nversion = \"3.2.0\"\n",
            pool,
            "3.2.0",
        ),
        (
            "uv.lock",
            "[[package]]\nname = \"psycopg-pool\"\nversion = \"3.2.0\"\nsource = {}\n",
            pool,
            "3.2.0",
        ),
        (
            "Pipfile.lock",
            "{\"default\": {\"psycopg-pool\": {\"hashes\": [\"a\"], \"version\": \"==3.1.0\"}}}",
            pool,
            "3.1.0",
        ),
        (
            "package-lock.json",
            "{\"packages\": {\"node_modules/a/node_modules/pg-pool\": {\n \"version\": \"2.0.1\"}}}",
            "pg-pool",
            "2.0.1",
        ),
        (
            "package-lock.json",
            "{\"dependencies\": {\"pg-pool\": {\"version\": \"2.0.1\"}}}",
            "pg-pool",
            "2.0.1",
        ),
        (
            "yarn.lock",
            "pg-pool@^2.0.0, pg-pool@2:\n  version \"2.0.1\"\n",
            "pg-pool",
            "2.0.1",
        ),
        (
            "yarn.lock",
            "\"pg-pool@npm:^2.0.0\":\n  version: 2.0.1\n",
            "pg-pool",
            "2.0.1",
        ),
        (
            "pnpm-lock.yaml",
            "packages:\n\n  /pg-pool@2.0.1(pg@7.0.0):\n    resolution: {}\n",
            "pg-pool",
            "2.0.1",
        ),
        (
            "pnpm-lock.yaml",
            "packages:\n  pg-pool@2.0.1:\n    resolution: {}\n",
            "pg-pool",
            "2.0.1",
        ),
        (
            "Gemfile.lock",
            "GEM\n  specs:\n    activerecord (7.1.2)\n      activemodel (= 7.1.2)\n",
            "activerecord",
            "7.1.2",
        ),
        (
            "go.mod",
            "require (\n\tgithub.com/jackc/pgx/v5 v5.0.4 // indirect\n)\n",
            "github.com/jackc/pgx/v5",
            "5.0.4",
        ),
        (
            "go.mod",
            "require github.com/lib/pq v1.12.1\n",
            "github.com/lib/pq",
            "1.12.1",
        ),
        (
            "pom.xml",
            "<properties><h.v>4.0.3</h.v></properties><dependency><artifactId>HikariCP</artifactId><version>${h.v}</version></dependency>",
            hikari,
            "4.0.3",
        ),
        (
            "build.gradle",
            "implementation 'com.zaxxer:HikariCP:4.0.3'\n",
            hikari,
            "4.0.3",
        ),
        (
            "gradle.lockfile",
            "com.zaxxer:HikariCP:4.0.3=runtimeClasspath\n",
            hikari,
            "4.0.3",
        ),
        (
            "app.csproj",
            "<PackageReference Include=\"Npgsql\" Version=\"7.0.2\" />",
            "Npgsql",
            "7.0.2",
        ),
        (
            "packages.lock.json",
            "{\"Npgsql\": {\"type\": \"Direct\", \"resolved\": \"7.0.2\"}}",
            "Npgsql",
            "7.0.2",
        ),
    ] {
        let found = packages(path, text);
        assert_eq!(found.len(), 1, "{path}: {found:?}");
        assert_eq!(
            (found[0].0.as_str(), found[0].1.as_str()),
            (name, version),
            "{path}"
        );
        assert!(found[0].2.ends_with(version), "{path}: {found:?}");
    }
}

#[test]
fn go_sum_s_highest_version_is_taken() {
    let text = "github.com/lib/pq v1.12.0 h1:a\ngithub.com/lib/pq v1.12.0/go.mod h1:b\ngithub.com/lib/pq v1.12.3 h1:c\n";
    let found = packages("go.sum", text);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].1, "1.12.3");
}

#[test]
fn ranges_parents_versions_and_other_packages_say_nothing() {
    for (path, text) in [
        (
            "requirements.txt",
            "psycopg-pool>=3.1\npsycopg-pool-x==1.0\n# psycopg-pool==3.0\n",
        ),
        (
            "package-lock.json",
            "{\"requires\": {\"pg-pool\": \"^2.0.1\"}, \"x-pg-pool\": {\"version\": \"1.0.0\"}}",
        ),
        ("yarn.lock", "x-pg-pool@1:\n  version \"1.0.0\"\n"),
        ("Gemfile.lock", "    x (1)\n      activerecord (>= 5)\n"),
        (
            "go.mod",
            "replace github.com/lib/pq => ../pq\nreplace github.com/lib/pq v1.12.0 => x v1\n",
        ),
        (
            "pom.xml",
            "<dependency><artifactId>HikariCP</artifactId><version>${parent.v}</version></dependency>",
        ),
        (
            "build.gradle",
            "implementation \"com.zaxxer:HikariCP:$v\"\n",
        ),
        ("notes.txt", "psycopg-pool==3.0\n"),
    ] {
        assert_eq!(packages(path, text), [], "{path}");
    }
}

#[test]
fn cut_off_files_are_no_panic() {
    let text = "{\"packages\": {\"node_modules/pg-pool\": {\"version\": \"2.0.1\"}}}\npg-pool@^2:\n  version \"2\"\n  /pg-pool@2:\n    activerecord (7\nü==1\n<artifactId>HikariCP</artifactId><version>ü";
    for path in [
        "requirements.txt",
        "poetry.lock",
        "package-lock.json",
        "yarn.lock",
        "pnpm-lock.yaml",
        "Gemfile.lock",
        "go.sum",
        "pom.xml",
        "build.gradle",
        "a.csproj",
    ] {
        for end in (0..=text.len()).filter(|n| text.is_char_boundary(*n)) {
            packages(path, &text[..end]);
        }
    }
}

#[test]
fn versions_are_ordered_by_their_numbers() {
    assert!(numbers("3.1.10") > numbers("3.1.9"));
    assert_eq!(numbers("5.0.0"), numbers("5"));
    assert_eq!(numbers("7.1.0.rc1"), numbers("7.1"));
}
