//! The traffic's shape, put together when somebody asks.

use super::Handle;
use crate::registry::{Place, UpstreamCell};
use events::Time;
use events::shape::{
    CLASSES_MAX, ClassShape, POOLS_MAX, REQUESTS_MAX, ServerShape, Shape, WINDOW_CLASSES_MAX,
    Window,
};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Windows of one server, more than are kept at a time: new ones come while they are taken.
const WINDOWS_MAX: usize = 64;
/// The class of what is not known, and of all that has none of its own.
const OTHER: &str = "other";

impl Handle {
    /// What the traffic of the last hour looked like: sampled, without any
    /// literal. Takes the pools' lock for one window at a time.
    pub fn shape(&self) -> Shape {
        let mut shape = self.shape_since(0);
        shape.servers.retain(|server| !server.windows.is_empty());
        (shape.servers.iter_mut()).for_each(|server| number_clients(&mut server.windows));
        shape
    }

    /// The same, of windows that began at this moment of the pooler's clock or
    /// later, microseconds; servers without one too. Who asks has a number that
    /// stays the same in later shapes.
    pub fn shape_since(&self, since_us: u64) -> Shape {
        let (places, cells): (Vec<Place>, Vec<Arc<UpstreamCell>>) = {
            let registry = self.inner.common.read();
            (registry.places().to_vec(), registry.upstreams().to_vec())
        };
        let servers = (cells.iter()).map(|cell| self.server_shape(cell, &places, since_us));
        let mut shape = Shape {
            servers: servers.collect(),
            ..Shape::default()
        };
        shape.bound(REQUESTS_MAX);
        shape
    }

    fn server_shape(&self, cell: &UpstreamCell, places: &[Place], since_us: u64) -> ServerShape {
        let mut shape = ServerShape::default();
        let mut pools = Vec::new();
        for place in places
            .iter()
            .filter(|p| p.upstream.id == cell.id && !p.monitor)
        {
            let Some(mut pool) = cell.lock().pool_shape(place.pool) else {
                continue;
            };
            pool.database = place.info.database.to_string();
            pool.user = place.info.user.to_string();
            pools.push((place.pool, pool));
        }
        // Anybody may make pools: those with the most traffic are kept.
        pools.sort_by_key(|(_, pool)| Reverse((pool.rows.len(), pool.clients)));
        pools.truncate(POOLS_MAX);
        let number = |pool: u16| pools.iter().position(|(id, _)| id.0 == u32::from(pool));
        let now = {
            let upstream = cell.lock();
            let now = self.inner.common.clock.now();
            shape.line = upstream.line();
            shape.open_us = upstream.open_us();
            shape.asked = upstream.asked();
            shape.until_us = now.as_micros();
            now
        };
        let mut windows = Vec::new();
        let mut since = Time::from_micros(since_us);
        for _ in 0..WINDOWS_MAX {
            let Some((window, classes)) = cell.lock().window(now, since) else {
                break;
            };
            since = Time::from_micros(window.at_us + 1);
            windows.push((renumbered(window, number), classes));
        }
        windows.retain(|(window, _)| !window.requests.is_empty());
        shape.classes = number_classes(&mut windows);
        shape.windows = windows.into_iter().map(|(window, _)| window).collect();
        shape.pools = pools.into_iter().map(|(_, pool)| pool).collect();
        shape
    }
}

/// One table for all windows, those with the most requests first; beyond its
/// bound they are the first class, as those are that a window does not tell apart.
fn number_classes(windows: &mut [(Window, Vec<ClassShape>)]) -> Vec<ClassShape> {
    let mut seen: BTreeMap<u64, (u64, ClassShape)> = BTreeMap::new();
    for (window, classes) in windows.iter() {
        let mut counts = [0; WINDOW_CLASSES_MAX];
        for request in &window.requests {
            if let Some(count) = counts.get_mut(usize::from(request.class)) {
                *count += 1;
            }
        }
        for (class, count) in classes.iter().zip(counts).skip(1) {
            let known = seen.entry(class.fingerprint);
            known.or_insert_with(|| (0, class.clone())).0 += count;
        }
    }
    let mut all: Vec<(u64, ClassShape)> = seen.into_values().collect();
    all.sort_by_key(|(count, class)| (Reverse(*count), class.fingerprint));
    let first = ClassShape {
        name: OTHER.to_owned(),
        ..ClassShape::default()
    };
    let known = all.into_iter().map(|(_, class)| ClassShape {
        name: class_name(&class),
        ..class
    });
    let table: Vec<_> = (std::iter::once(first).chain(known))
        .take(CLASSES_MAX)
        .collect();
    let places: BTreeMap<u64, u16> = (table.iter().enumerate())
        .map(|(at, class)| (class.fingerprint, at as u16))
        .collect();
    for (window, classes) in windows {
        for request in &mut window.requests {
            let class = classes.get(usize::from(request.class));
            let place = class.and_then(|class| places.get(&class.fingerprint));
            request.class = place.copied().unwrap_or(0);
        }
    }
    table
}

/// The first word of its statement and some digits of its fingerprint: the same
/// for the same statement, whenever and wherever it is recorded.
fn class_name(class: &ClassShape) -> String {
    let word: String = (class.text.chars())
        .take_while(char::is_ascii_alphabetic)
        .take(12)
        .collect();
    let word = match word.is_empty() {
        true => "statement".to_owned(),
        false => word.to_lowercase(),
    };
    format!("{word}-{:08x}", class.fingerprint >> 32)
}

/// Numbers in the order of appearance: they lead to nobody, and are short.
fn number_clients(windows: &mut [Window]) {
    let mut numbers: BTreeMap<u32, u32> = BTreeMap::new();
    for request in windows.iter_mut().flat_map(|w| &mut w.requests) {
        let next = numbers.len() as u32;
        request.client = *numbers.entry(request.client).or_insert(next);
    }
}

/// The window with pools by their place in the shape; what has none is dropped.
fn renumbered(mut window: Window, number: impl Fn(u16) -> Option<usize>) -> Window {
    let place = |pool: &mut u16| match number(*pool) {
        Some(at) => {
            *pool = at as u16;
            true
        }
        None => false,
    };
    window.starts.retain_mut(|start| place(&mut start.pool));
    window
        .requests
        .retain_mut(|request| place(&mut request.pool));
    window
}
