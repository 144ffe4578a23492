//! The traffic's shape, put together when somebody asks.

use super::Handle;
use crate::registry::{Place, UpstreamCell};
use events::shape::{POOLS_MAX, REQUESTS_MAX, ServerShape, Shape, Window};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

impl Handle {
    /// What the traffic of the last hour looked like: sampled, without any
    /// statement. Takes the pools' lock for one window at a time.
    pub fn shape(&self) -> Shape {
        let (places, cells): (Vec<Place>, Vec<Arc<UpstreamCell>>) = {
            let registry = self.inner.common.read();
            (registry.places().to_vec(), registry.upstreams().to_vec())
        };
        let servers = cells.iter().map(|cell| self.server_shape(cell, &places));
        let mut shape = Shape {
            servers: servers.filter(|s| !s.windows.is_empty()).collect(),
        };
        shape.bound(REQUESTS_MAX);
        shape
    }

    fn server_shape(&self, cell: &UpstreamCell, places: &[Place]) -> ServerShape {
        let now = self.inner.common.clock.now();
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
        let count = {
            let upstream = cell.lock();
            shape.line = upstream.line();
            shape.open_us = upstream.open_us();
            upstream.windows()
        };
        for at in 0..count {
            let window = cell.lock().window(now, at);
            shape.windows.extend(window.map(|w| renumbered(w, number)));
        }
        shape.windows.retain(|window| !window.requests.is_empty());
        number_clients(&mut shape.windows);
        shape.pools = pools.into_iter().map(|(_, pool)| pool).collect();
        shape
    }
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
