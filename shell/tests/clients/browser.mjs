// Chromium, as a newcomer and as an attacker would use it: the README's pages as they are, a page that goes into the
// back/forward cache and comes back, and pages that must not get in.
import { createServer } from 'node:http';
import { readFileSync } from 'node:fs';
import { chromium } from 'playwright-core';
import { api, done, eventually, expect, run, Server, sleep, token } from './harness.mjs';

const README = readFileSync(new URL('../../../README.md', import.meta.url), 'utf8');
const SDK = readFileSync(new URL('node_modules/centrifuge/dist/centrifuge.js', import.meta.url));
// Where the README's examples lead.
const ADDRESS = '127.0.0.1:8000';
const CHROMIUM = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync'];
// Nothing but this machine is looked up, whatever the page's address says.
const QUIET = ['--disable-background-networking', '--disable-component-update', '--host-resolver-rules=MAP * 127.0.0.1'];

// The one block of the README in this language that begins like this.
function block(language, beginning) {
  const blocks = [...README.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\``, 'gms'))].map(([, text]) => text);
  const found = blocks.filter((text) => text.startsWith(beginning));
  expect(`blocks of the README that begin with ${beginning}`, found.length, 1);
  return found[0];
}

// Serves these pages by path on a free port of loopback.
async function serve(pages) {
  const server = createServer((request, response) => {
    const page = pages[request.url];
    response.writeHead(page === undefined ? 204 : 200, { 'content-type': page === SDK ? 'text/javascript' : 'text/html' });
    response.end(page);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server.address().port;
}

// A page that notes what its console says and which of its requests failed.
async function open(browser, url) {
  const page = await (await browser.newContext()).newPage();
  const said = [];
  const wrong = [];
  page.on('console', (message) => (message.type() === 'error' ? wrong : said).push(message.text()));
  page.on('pageerror', (error) => wrong.push(error.message));
  page.on('response', (response) => response.status() >= 400 && wrong.push(`${response.status()} ${response.url()}`));
  await page.goto(url);
  return { page, said, wrong };
}

async function firstMessage(browser) {
  const { page, said, wrong } = await open(browser, `http://${ADDRESS}/health`);
  await page.evaluate(block('js', 'new WebSocket'));
  await eventually('the greeting in the console', () => said.length, 1);
  await api('publish', { channel: 'lobby', data: 'hello' }, ADDRESS);
  await eventually('the console', () => said[1], '"hello"');
  expect('what the browser shows in red', wrong, []);
  await page.close();
  done("browser: the README's first message, from the page of /health, with nothing in red");
}

async function pageOfTheSdk(browser) {
  const port = await serve({ '/': block('html', '<!doctype html>'), '/centrifuge.js': SDK });
  const { page, wrong } = await open(browser, `http://localhost:${port}/`);
  const members = async () => (await api('presence_stats', { channel: 'lobby' }, ADDRESS)).num_clients;
  await eventually('members of the lobby', members, 1);
  await api('publish', { channel: 'lobby', data: { n: 1 } }, ADDRESS);
  await eventually('lines of the page', () => page.locator('li').allTextContents(), ['{"n":1}']);
  expect('what the browser shows in red', wrong, []);
  await page.close();
  done("browser: the README's page with the SDK, as it is");
}

// Chromium fails the WebSocket of a page that it puts into its cache, but tells the page only when it comes back, and
// the server not before: what is sent meanwhile is lost, and only the position brings it back.
async function backAndForward(browser) {
  const kept = "addEventListener('pageshow', ({ persisted }) => persisted && seen.push('kept'));";
  const notes = `const seen = []; console.log = (text) => seen.push(text); ${kept}`;
  const page1 = `<!doctype html><title>a</title><script>${notes}${block('js', 'const places')}</script>`;
  const port = await serve({ '/': page1, '/other': '<!doctype html>elsewhere' });
  const { page } = await open(browser, `http://localhost:${port}/`);
  const seen = () => page.evaluate('seen');
  const say = (data) => api('publish', { channel: 'lobby', data }, ADDRESS);
  const members = async () => (await api('presence_stats', { channel: 'lobby' }, ADDRESS)).num_clients;
  await eventually('members of the lobby', members, 1);
  await say('before');
  await eventually('what the page sees', seen, ['before']);
  await page.goto(`http://localhost:${port}/other`);
  // Until then it may still take a message, and not the position behind it.
  await sleep(1000);
  await say('missed 1');
  await say('missed 2');
  await page.goBack({ waitUntil: 'commit' });
  await eventually('the page that is back', seen, ['before', 'kept', 'missed 1', 'missed 2']);
  await say('after');
  await eventually('what it sees then', async () => (await seen()).slice(4), ['after']);
  await page.close();
  done('browser: a page that was in the back/forward cache misses nothing');
}

// What `new WebSocket(url)` comes to in a page of this address.
async function tries(browser, page, url) {
  const opened = await open(browser, page);
  const came = await opened.page.evaluate(
    (url) =>
      new Promise((resolve) => {
        const socket = new WebSocket(url);
        socket.onopen = () => resolve('open');
        socket.onerror = () => resolve('refused');
      }),
    url,
  );
  await opened.page.close();
  return came;
}

async function strangers(browser) {
  const port = await serve({ '/': 'a page' });
  const path = `/ws/lobby?token=${token({ sub: 'ann' })}`;
  const from = async (site, at, host) => tries(browser, `http://${site}:${port}/`, `ws://${host}:${at.split(':')[1]}${path}`);
  expect('development, a page of this machine', await from('localhost', ADDRESS, '127.0.0.1'), 'open');
  expect('development, app.localhost', await from('app.localhost', ADDRESS, '127.0.0.1'), 'open');
  expect('development, another site', await from('evil.example', ADDRESS, '127.0.0.1'), 'refused');
  expect('development, a name made to lead here', await from('evil.example', ADDRESS, 'evil.example'), 'refused');
  expect('development, a name that looks like ours', await from('localhost.evil.example', ADDRESS, '127.0.0.1'), 'refused');

  const own = await new Server('--dev', 'false', '--public-hosts', `http://chat.example:${port}`).ready;
  expect('production, a name made to lead here', await from('evil.example', own.address, 'evil.example'), 'refused');
  expect('production, another site', await from('evil.example', own.address, 'chat.example'), 'refused');
  await own.stop();
  const named = await new Server('--dev', 'false', '--allowed-origins', `http://app.example:${port}`).ready;
  expect('production, an allowed origin', await from('app.example', named.address, 'chat.example'), 'open');
  expect('production, another site', await from('evil.example', named.address, 'chat.example'), 'refused');
  await named.stop();
  done('browser: pages of other sites are refused, DNS rebinding included');
}

run(async () => {
  // Playwright turns the back/forward cache off; users do not.
  const ignoreDefaultArgs = ['--disable-back-forward-cache'];
  const launch = { executablePath: '/usr/bin/chromium', args: [...CHROMIUM, ...QUIET], ignoreDefaultArgs };
  const browser = await chromium.launch(launch);
  const server = await new Server('--listen', ADDRESS).ready;
  await firstMessage(browser);
  await pageOfTheSdk(browser);
  await backAndForward(browser);
  await strangers(browser);
  await server.stop();
  await browser.close();
});
