//! Redfish tasks of an update.

use serde_json::{Value, json};

use super::{Call, redfish};
use crate::Fault;
use crate::bmc::{Bmc, State};
use crate::message::Answer;
use crate::updater::{Activation, Task};

/// Without progress a task is given up after so many simulated seconds.
const PATIENCE: f64 = 300.0;

/// Makes a task and answers 202 with it.
pub(super) fn begin(
    bmc: &Bmc,
    state: &mut State,
    image: Option<u64>,
    now: f64,
    target: &str,
) -> Answer {
    let task = Task {
        number: state.updater.tasks.len(),
        image,
        started: now,
        target: target.to_string(),
        told: false,
    };
    let value = resource(bmc, state, &task, now);
    state.updater.tasks.push(task.clone());
    if state.rules.has(&Fault::TaskVanishes) {
        state
            .updater
            .tasks
            .iter_mut()
            .for_each(|task| task.told = true);
    }
    Answer::json(202, &value)
        .with("Location", monitor_path(bmc, task.number))
        .with("Retry-After", "30")
}

pub(super) fn service(_: &mut Call<'_>) -> Answer {
    Answer::json(
        200,
        &json!({
            "@odata.id": "/redfish/v1/TaskService",
            "@odata.type": "#TaskService.v1_1_4.TaskService",
            "Id": "TaskService",
            "Name": "Task Service",
            "ServiceEnabled": true,
            "Tasks": super::link("/redfish/v1/TaskService/Tasks"),
        }),
    )
}

pub(super) fn list(call: &mut Call<'_>) -> Answer {
    let path = "/redfish/v1/TaskService/Tasks";
    let members: Vec<String> = call
        .state
        .updater
        .tasks
        .iter()
        .map(|task| format!("{path}/{}", task.number))
        .collect();
    redfish::collection(path, "Task", "Task Collection", &members)
}

pub(super) fn show(call: &mut Call<'_>) -> Answer {
    match find(call) {
        Some(task) => Answer::json(200, &resource(call.bmc, call.state, &task, call.now)),
        None => redfish::missing(call.request),
    }
}

/// The monitor: 202 while it runs, 204 once, then nothing.
pub(super) fn monitor(call: &mut Call<'_>) -> Answer {
    let Some(task) = find(call).filter(|task| !task.told) else {
        return redfish::missing(call.request);
    };
    let value = resource(call.bmc, call.state, &task, call.now);
    if value["TaskState"] == "Running" {
        return Answer::json(202, &value)
            .with("Location", monitor_path(call.bmc, task.number))
            .with("Retry-After", "30");
    }
    call.state.updater.tasks[task.number].told = true;
    Answer::empty(204)
}

fn find(call: &Call<'_>) -> Option<Task> {
    if call.state.rules.has(&Fault::TaskVanishes) {
        return None;
    }
    let number: usize = call.names[0].parse().ok()?;
    call.state.updater.tasks.get(number).cloned()
}

fn monitor_path(bmc: &Bmc, number: usize) -> String {
    bmc.dialect.monitor.replacen('*', &number.to_string(), 1)
}

fn resource(bmc: &Bmc, state: &State, task: &Task, now: f64) -> Value {
    let image = task.image.and_then(|order| state.updater.by_order(order));
    let (word, status, percent) = match image.map(|image| (image.activation, image)) {
        None => ("Exception", "Warning", 0),
        Some((Activation::Failed | Activation::Invalid, image)) => {
            ("Exception", "Warning", image.progress)
        }
        Some((Activation::Active, _)) => ("Completed", "OK", 100),
        Some((_, image)) => {
            let began = image.span.map_or(image.seen_at, |(_, until)| until);
            if now - began > PATIENCE {
                ("Cancelled", "Warning", image.progress)
            } else {
                ("Running", "OK", image.progress)
            }
        }
    };
    let path = format!("/redfish/v1/TaskService/Tasks/{}", task.number);
    json!({
        "@odata.id": path,
        "@odata.type": "#Task.v1_4_3.Task",
        "Id": task.number.to_string(),
        "Name": format!("Task {}", task.number),
        "TaskState": word,
        "TaskStatus": status,
        "PercentComplete": percent,
        "StartTime": "2026-01-01T00:00:00+00:00",
        "TaskMonitor": monitor_path(bmc, task.number),
        "HidePayload": false,
        "Messages": [{"MessageId": "TaskEvent.1.0.TaskStarted", "MessageArgs": [task.number.to_string()]}],
        "Payload": {"TargetUri": task.target, "HttpOperation": "POST", "HttpHeaders": []},
    })
}
