// The input log of a server that a thousand clients use: it is written while they do and after it, tells nothing that is nobody's
// business, and `parlor-sim replay` runs it again to the same counts, also from a state where its first inputs were dropped. One that was
// tampered with is told from a good one.
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { Server, api, done, eventually, expect, run } from './harness.mjs';
import { MixedLoad, OPTIONS, ROOM, WORDS } from './mixed_load.mjs';

const PARLOR = process.env.CHECK_BINARY;
const SIMULATOR = process.env.CHECK_SIMULATOR ?? join(dirname(PARLOR), 'parlor-sim');
const KEY = process.env.CHECK_API_KEY;
const RECORDED = ['--input-log-bytes', String(512 << 20)];
// So few that the first inputs are dropped soon; the state of a thousand clients may have half of them.
const DROPPED = ['--input-log-bytes', String(16 << 20)];
const BEFORE_MS = 8000;
const BEHIND_MS = 17_000;
// A client is written to once for each message that comes alone.
const LEAST_STEPS = 100_000;
// What the beginning of every JSON Web Token of HS256 is.
const TOKEN = Buffer.from('{"alg":"HS256","typ":"JWT"}').toString('base64url');

const exec = promisify(execFile);

// The exit code of the simulator, and what it said.
async function replay(file) {
  try {
    const { stdout } = await exec(SIMULATOR, ['replay', file], { maxBuffer: 64 << 20 });
    return { code: 0, text: stdout };
  } catch ({ code, stdout, stderr }) {
    return { code, text: `${stdout}${stderr}` };
  }
}

async function byTheCommand(address) {
  const environment = { ...process.env, PARLOR_API_KEY: KEY };
  const { stdout } = await exec(PARLOR, ['input-log', '--url', `http://${address}`], { env: environment });
  const [, file, steps, run] = stdout.match(/^(\S+): (\d+) steps, (?:from the start|the last (\d+) from a state)\n$/) ?? [];
  expect(`a log that can be run: ${stdout}`, file !== undefined, true);
  return { file, steps: Number(run ?? steps), isWhole: run === undefined };
}

// Looks into a log and runs it: what the simulator said.
async function isRunAgain(what, { file, steps }, least) {
  expect(`the mode of the log ${what}`, statSync(file).mode & 0o777, 0o600);
  const log = readFileSync(file);
  const found = [WORDS, TOKEN, KEY, process.env.CHECK_TOKEN_SECRET].filter((secret) => log.includes(secret));
  expect(`what nobody may find in the log ${what}`, found, []);
  expect(`the room in the log ${what}`, log.includes(ROOM), true);
  expect(`${steps} steps in the log ${what} are at least ${least}`, steps >= least, true);
  const { code, text } = await replay(file);
  const clean = text.match(/clean: (\d+) steps, the counts compared (\d+) times \((\S+) s\)/) ?? [];
  expect(`the replay of the log ${what}: ${text.slice(-2000)}`, [code, Number(clean[1])], [0, steps]);
  const megabytes = (log.length / 1e6).toFixed(1);
  done(`input log ${what}: ${steps} steps in ${megabytes} MB, run again in ${clean[3]} s, the counts compared ${clean[2]} times`);
  return log;
}

// One byte in the second half is another: of the name of the room that a call publishes to. And a log that ends too early.
async function isToldFromAGoodOne(log, folder) {
  const half = log.length >> 1;
  const call = log.toString('latin1', half).search(new RegExp(`\\x05${ROOM}[^]{0,16}\\{"type":"chat"`));
  expect('somebody publishes to the room in the second half', call >= 0, true);
  const file = join(folder, 'tampered.inputs');
  log[half + call + ROOM.length] ^= 1;
  writeFileSync(file, log);
  const { code, text } = await replay(file);
  const [diverged] = text.match(/diverged behind step \d+: .*/) ?? [];
  expect(`the replay of a log with another byte: ${text.slice(-2000)}`, [code, diverged !== undefined], [1, true]);
  writeFileSync(file, log.subarray(0, half));
  const cut = await replay(file);
  expect(`the replay of a log that is cut off: ${cut.text.slice(-2000)}`, [cut.code, cut.text.includes('cut off')], [7, true]);
  done(`input log: another byte is found (${diverged})`);
}

// The members of the room that everybody is in.
async function membersAt(address) {
  return (await api('presence_stats', { channel: ROOM }, address)).num_clients;
}

// The log of a server that has dropped its first inputs is run from a state.
async function isRunFromAState(folder) {
  const server = await new Server('--input-log-dir', folder, ...DROPPED, ...OPTIONS).ready;
  const load = new MixedLoad(server.address);
  await eventually('members', () => membersAt(server.address), load.clients, 30000);
  await load.run(BEFORE_MS + BEHIND_MS);
  const dropped = await byTheCommand(server.address);
  await server.stop();
  expect('the log that has dropped its beginning is whole', dropped.isWhole, false);
  await isRunAgain('from a state', dropped, LEAST_STEPS / 50);
}

run(async () => {
  const folder = mkdtempSync(join(tmpdir(), 'parlor-inputs-'));
  const server = await new Server('--input-log-dir', folder, ...RECORDED, ...OPTIONS).ready;
  const load = new MixedLoad(server.address);
  await eventually('members', () => membersAt(server.address), load.clients, 30000);
  await load.run(BEFORE_MS);
  const [during] = await Promise.all([byTheCommand(server.address), load.run(BEHIND_MS)]);
  const totals = async () => (await (await fetch(`http://${server.address}/health`)).json()).totals;
  const missing = async () => {
    const { closed } = await totals();
    return load.expectedEnds.filter((name) => !closed[name]);
  };
  await eventually('ways to end that nobody went', missing, [], 15000);
  const after = await api('input_log', {}, server.address);
  const { accepted, published, recoveries } = await totals();
  expect('there are recoveries', recoveries.recovered > load.cuts / 2, true);
  done(`input log: ${accepted} connections with ${load.cuts} cuts, ${published} publications, ${load.calls} calls`);
  await server.stop();

  await isRunAgain('during the load', during, LEAST_STEPS / 4);
  const log = await isRunAgain('after the load', after, LEAST_STEPS);
  await isToldFromAGoodOne(log, folder);
  await isRunFromAState(folder);
  rmSync(folder, { recursive: true });
});
