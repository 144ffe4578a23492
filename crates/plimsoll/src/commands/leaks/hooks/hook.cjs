// Tells `plimsoll leaks` which test runs and which connections are lent.
//
// Node loads this first because the command put it into NODE_OPTIONS. It changes
// nothing that a program could see, writes to a pipe that is never waited for, and
// is silent when anything fails.
'use strict';

(() => {
  const path = process.env.PLIMSOLL_LEAKS_PIPE;
  if (!path) return;
  const fs = require('fs');
  const Module = require('module');
  const { performance } = require('perf_hooks');
  const here = process.cwd() + '/';
  let pipe;

  function tell(word, ...rest) {
    try {
      if (pipe === undefined) {
        pipe = fs.openSync(path, fs.constants.O_WRONLY | fs.constants.O_NONBLOCK);
      }
      const moment = Math.round((performance.timeOrigin + performance.now()) * 1000);
      const words = [word, process.pid, moment];
      // eslint-disable-next-line no-control-regex
      for (const text of rest) words.push(String(text).replace(/[\u0000-\u001f\u007f]/g, ' ').slice(0, 300));
      const line = words.join('\t') + '\n';
      for (let i = 0; i < 50; i++) {
        try {
          fs.writeSync(pipe, line);
          return;
        } catch (error) {
          if (error.code !== 'EAGAIN') return;
        }
      }
    } catch {
      // Silent: the suite comes first.
    }
  }

  /** The innermost line that is the program's own. */
  function place() {
    try {
      const lines = new Error().stack.split('\n').slice(3);
      const own = lines.find((line) => !/node_modules|node:|\(native\)|\(<anonymous>\)/.test(line)
        && !line.includes(__filename));
      if (!own) return '';
      const found = /at (?:async )?(?:(.*?) \()?(?:file:\/\/)?(\/.*?):(\d+):\d+\)?$/.exec(own.trim());
      if (!found) return '';
      const file = found[2].startsWith(here) ? found[2].slice(here.length) : found[2];
      const name = found[1] && !found[1].includes('<') ? ` in ${found[1]}` : '';
      return `${file}:${found[3]}${name}`;
    } catch {
      return '';
    }
  }

  function port(client) {
    try {
      return client.connection.stream.localPort || 0;
    } catch {
      return 0;
    }
  }

  function say(word, client, where) {
    const number = client && port(client);
    if (number) tell(word, number, where || '');
  }

  /** Reports what an asynchronous `connect` gives, by callback or promise. */
  function connects(prototype, word, what) {
    const connect = prototype.connect;
    prototype.connect = function (callback, ...rest) {
      const where = place();
      if (typeof callback === 'function') {
        const told = (error, client, ...more) => {
          if (!error) say(word, what(this, client), where);
          return callback(error, client, ...more);
        };
        return connect.call(this, told, ...rest);
      }
      const result = connect.call(this, callback, ...rest);
      if (!result || typeof result.then !== 'function') return result;
      return result.then((client) => {
        say(word, what(this, client), where);
        return client;
      });
    };
  }

  const done = new WeakSet();

  function once(value) {
    if (!value || done.has(value)) return false;
    done.add(value);
    return true;
  }

  function pool(Pool) {
    if (typeof Pool !== 'function' || !once(Pool)) return;
    connects(Pool.prototype, 'borrow', (_, client) => client);
    const emit = Pool.prototype.emit;
    Pool.prototype.emit = function (name, ...args) {
      if (name === 'release') say('return', args[1]);
      return emit.call(this, name, ...args);
    };
  }

  function pg(exports) {
    if (!exports || typeof exports.Client !== 'function' || !once(exports.Client)) return;
    connects(exports.Client.prototype, 'open', (client) => client);
  }

  function mocha(Runner) {
    if (typeof Runner !== 'function' || !Runner.prototype.runTest || !once(Runner)) return;
    const emit = Runner.prototype.emit;
    Runner.prototype.emit = function (name, test, ...args) {
      if (name === 'test') tell('begin', test.fullTitle());
      const result = emit.call(this, name, test, ...args);
      // Its afterEach runs between this and the next test.
      if (name === 'test end') tell('end', test.fullTitle());
      return result;
    };
  }

  function jest(exports) {
    const Environment = exports && (exports.TestEnvironment || exports.default || exports);
    if (typeof Environment !== 'function' || !once(Environment)) return;
    const handle = Environment.prototype.handleTestEvent;
    const title = (test) => {
      const names = [];
      for (let t = test; t && t.name !== 'ROOT_DESCRIBE_BLOCK'; t = t.parent) names.unshift(t.name);
      return names.join(' ');
    };
    Environment.prototype.handleTestEvent = async function (event, state) {
      if (event.name === 'test_start') tell('begin', title(event.test));
      if (handle) await handle.call(this, event, state);
      if (event.name === 'test_done') tell('end', title(event.test));
    };
  }

  let hooked = false;

  function nodeTest(module) {
    if (hooked) return;
    hooked = true;
    const name = (context) => (context && (context.fullName || context.name)) || 'test';
    module.beforeEach((context) => tell('begin', name(context)));
    module.afterEach((context) => tell('end', name(context)));
  }

  const load = Module._load;
  Module._load = function (request, parent, isMain) {
    const loaded = load.call(this, request, parent, isMain);
    try {
      if (/(^|\/)pg-pool(\/|$)/.test(request)) pool(loaded);
      else if (/(^|\/node_modules\/)pg(\/lib\/index\.js|\/lib)?$/.test(request)) pg(loaded);
      else if (/(^|\/)runner(\.js)?$/.test(request)) mocha(loaded);
      else if (/jest-environment-(node|jsdom)/.test(request)) jest(loaded);
      else if (request === 'node:test' || request === 'test') nodeTest(loaded);
    } catch {
      // Silent.
    }
    return loaded;
  };
  process.on('exit', () => tell('exit'));
  // A file that `node --test` runs: its tests may be imported as a module.
  if (process.env.NODE_TEST_CONTEXT) {
    try {
      nodeTest(require('node:test'));
    } catch {
      // Silent.
    }
  }
})();
