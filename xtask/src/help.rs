//! The help texts, made from the table of tasks.

use crate::Task;

pub(crate) fn all(tasks: &[Task]) -> String {
    let mut text = String::from("Usage: cargo xtask TASK [ARGUMENTS]\n\nTasks:\n");
    for task in tasks {
        text.push_str(&format!("  {:<13} {}\n", task.name, task.summary));
    }
    text.push_str("\n`cargo xtask TASK --help` says more about one of them.\n");
    text
}

pub(crate) fn one(task: &Task) -> String {
    format!(
        "cargo xtask {}: {}\n\n{}\n",
        task.name,
        task.summary,
        task.help.trim()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_teaches_and_names_are_unique() {
        let text = all(crate::TASKS);
        for (i, task) in crate::TASKS.iter().enumerate() {
            assert!(text.contains(task.summary), "{} is not listed", task.name);
            assert!(
                task.help.trim().len() > 60,
                "{} has no help worth reading",
                task.name
            );
            assert!(
                crate::TASKS[i + 1..]
                    .iter()
                    .all(|other| other.name != task.name)
            );
        }
    }
}
