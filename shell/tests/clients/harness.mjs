// What the JavaScript checks share: the HTTP API, tokens, and comparisons that say what was seen.
import { spawn } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { createInterface } from 'node:readline';
import { isDeepStrictEqual, inspect } from 'node:util';

// Where the server is that the runner started for this check.
export const address = process.env.CHECK_ADDRESS;
const apiKey = process.env.CHECK_API_KEY;
const secret = process.env.CHECK_TOKEN_SECRET;

// A server for a check that has to end it: the release binary with the keys of the others, at `address` once `ready`.
export class Server {
  constructor(...args) {
    for (const [flag, value] of [['--listen', '127.0.0.1:0'], ['--dev', 'true']]) {
      if (!args.includes(flag)) args.push(flag, value);
    }
    args.push(...this.keys());
    this.process = spawn(process.env.CHECK_BINARY, args, { stdio: ['ignore', 'pipe', 'ignore'] });
    this.ended = new Promise((resolve) => this.process.once('exit', resolve));
    process.once('exit', () => this.process.kill('SIGKILL'));
    this.ready = this.#listening();
  }

  keys() {
    return ['--api-key', apiKey, '--token-secret', secret];
  }

  async #listening() {
    for await (const line of createInterface(this.process.stdout)) {
      this.address = line.match(/^parlor is listening on http:\/\/(\S+)/)?.[1];
      if (this.address) return this;
    }
    throw new Error('the server ended before it was ready');
  }

  // Stops it in peace; it has to end by itself, with exit code 0.
  async stop() {
    this.process.kill('SIGTERM');
    expect("the server's exit code", await this.ended, 0);
  }
}

// One without any key of ours, as a newcomer starts it.
export class BareServer extends Server {
  keys() {
    return [];
  }
}

// One API call that has to succeed: its result, or the replies of a batch. `body` may be text, to be sent as it is.
export async function api(method, body, at = address) {
  const answer = await fetch(`http://${at}/api/${method}`, {
    method: 'POST',
    headers: { 'X-API-Key': apiKey },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
  const seen = await answer.json();
  const result = seen.result ?? seen.replies;
  if (answer.status !== 200 || result === undefined) fail(`POST /api/${method}`, '200 with a result', seen);
  return result;
}

// A JSON Web Token signed with HS256 (RFC 7515, RFC 7519).
export function token(claims, key = secret) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}`;
  return `${signed}.${createHmac('sha256', key).update(signed).digest('base64url')}`;
}

export const now = () => Math.floor(Date.now() / 1000);
export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function fail(what, expected, seen) {
  const show = (value) => inspect(value, { depth: 8, breakLength: 120 });
  throw new Error(`${what}\n  expected: ${show(expected)}\n  seen:     ${show(seen)}`);
}

export function expect(what, seen, expected) {
  if (!isDeepStrictEqual(seen, expected)) fail(what, expected, seen);
}

// Waits until `look()` returns what is expected.
export async function eventually(what, look, expected, within = 10000) {
  const deadline = Date.now() + within;
  for (;;) {
    const seen = await look();
    if (isDeepStrictEqual(seen, expected)) return;
    if (Date.now() > deadline) fail(`${what} (waited ${within} ms)`, expected, seen);
    await sleep(20);
  }
}

// Every step that a check completes is a line that the runner counts.
export const done = (step) => console.log(`ok ${step}`);

// Runs the steps and ends the process: clients that were left open must not keep it.
export async function run(steps) {
  try {
    await steps();
    process.exit(0);
  } catch (error) {
    console.log(error.stack);
    process.exit(1);
  }
}
