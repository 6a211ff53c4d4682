// The console in Chromium: what a newcomer does first, what an operator looks at, and that a key is asked for and kept nowhere.
import { chromium } from 'playwright-core';
import { api, BareServer, done, eventually, expect, run, Server, token } from './harness.mjs';

const CHROMIUM = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync'];
const QUIET = ['--disable-background-networking', '--disable-component-update', '--host-resolver-rules=MAP * 127.0.0.1'];
const ROOMS = 1000;
// A picture of the screen that takes longer is seen to be late; the machine is shared with other checks.
const FLUID_MS = 250;
// The limits on what a whole server holds, and on the outbox, of which the fullest is shown.
const WITH_USE = ['absences', 'connections', 'history_bytes', 'http_connections', 'inbound_bytes_total', 'logs', 'outbox_bytes', 'outbox_bytes_total'];
const PICTURES = process.env.CHECK_PICTURES;

// A page of the console that notes what its browser shows in red, and which servers it asked.
async function open(browser, address, options = {}) {
  const page = await (await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options })).newPage();
  const wrong = [];
  const asked = new Set();
  page.on('console', (message) => ['error', 'warning'].includes(message.type()) && wrong.push(message.text()));
  page.on('pageerror', (error) => wrong.push(error.message));
  page.on('request', (request) => asked.add(new URL(request.url()).host));
  page.on('websocket', (socket) => asked.add(new URL(socket.url()).host));
  await page.goto(`http://${address}/`);
  return { page, wrong, asked };
}

// The same, once the key is typed in.
async function enter(browser, address, options = {}) {
  const opened = await open(browser, address, options);
  await opened.page.getByLabel('Key', { exact: true }).fill(process.env.CHECK_API_KEY);
  await opened.page.keyboard.press('Enter');
  await opened.page.locator('#key').waitFor({ state: 'hidden' });
  return opened;
}

async function picture(page, name) {
  if (PICTURES) await page.screenshot({ path: `${PICTURES}/${name}.png`, fullPage: true });
}

const texts = (page, selector) => () => page.locator(selector).allTextContents();
const go = (page, hash) => page.evaluate((to) => { location.hash = to; }, hash);

async function firstMessage(browser) {
  const own = await new BareServer().ready;
  const { page, wrong, asked } = await open(browser, own.address);
  await page.getByText('This page listens to the room lobby.').waitFor();
  await page.keyboard.press('Tab');
  await page.getByRole('button', { name: 'Send' }).click();
  await eventually('what arrives', texts(page, '#first .arrived code'), ['"hello"']);
  await eventually('where it is', texts(page, '#first .place'), ['at offset 1']);
  const [curl, script] = await texts(page, '#first .code code')();
  await picture(page, 'first');
  // What it shows does the same, pasted as it is.
  const [, key] = curl.match(/X-API-Key: (\S+)'/);
  const [, url] = curl.match(/(http:\S+)$/);
  const answer = await fetch(url, { method: 'POST', headers: { 'X-API-Key': key }, body: curl.match(/-d '(.*)' /)[1] });
  expect('the curl of the page', (await answer.json()).result.offset, 2);
  await eventually('what arrives then', texts(page, '#first .arrived code'), ['"hello"', '"hello"']);
  const heard = await page.evaluate(`new Promise((resolve) => {
    ${script.replace('console.log(message.data)', 'seen.push(message.data) > 1 && resolve(seen[1])')}
    const seen = [];
    socket.addEventListener('open', () => setTimeout(() => document.querySelector('#first button').click(), 300));
  })`);
  expect('what the script of the page hears', heard, '"hello"');
  expect('what the browser shows in red', wrong, []);
  expect('the servers that the page asked', [...asked], [own.address]);
  await page.context().close();
  await own.stop();
  done('console: a first message is sent and arrives, without a key, and its curl and script do the same');
}

async function keys(browser, production) {
  const { page, wrong } = await open(browser, production);
  const served = [];
  page.on('response', (response) => served.push(response.text().catch(() => '')));
  page.on('websocket', (socket) => socket.on('framereceived', ({ payload }) => served.push(payload)));
  const field = page.getByLabel('Key', { exact: true });
  await field.fill('wrong');
  await page.keyboard.press('Enter');
  await page.getByText('The server has no such key.').waitFor();
  await picture(page, 'wrong_key');
  await field.fill(process.env.CHECK_API_KEY);
  await page.keyboard.press('Enter');
  await page.getByText('ok', { exact: true }).waitFor();
  const stored = await page.evaluate(() => [localStorage.length, sessionStorage.length, document.cookie, location.href]);
  expect('storage, cookies and address', stored, [0, 0, '', `http://${production}/`]);
  for (const [view, words] of [['overview', 'Memberships'], ['connections', 'Last closes'], ['limits', 'http_connections'], ['rooms', 'No room has members.'], ['room/plans', 'live']]) {
    await go(page, view);
    await page.getByText(words, { exact: true }).first().waitFor();
    await page.waitForTimeout(300);
    served.push(await page.evaluate(() => document.documentElement.outerHTML));
  }
  const texts = await Promise.all(served);
  expect('much is served', texts.length > 15, true);
  expect('who has the key among what is served and shown', texts.filter((text) => text.includes(process.env.CHECK_API_KEY)), []);
  await page.getByRole('button', { name: 'Forget the key' }).click();
  await field.waitFor();
  expect('what is in red', wrong.filter((text) => !text.includes('401')), []);
  await page.context().close();
  done(`console: a wrong key is refused, a right one is used and is in none of ${texts.length} answers and pages`);
}

async function aRoom(browser, own) {
  const { page, wrong } = await enter(browser, own);
  const client = new WebSocket(`ws://${own}/ws/plans?token=${token({ sub: 'ann <b>bold</b>' })}`);
  await new Promise((resolve) => client.addEventListener('message', resolve, { once: true }));
  for (const data of ['before', { html: '<img src=x onerror=alert(1)>' }]) await api('publish', { channel: 'plans', data }, own);
  await go(page, 'room/plans');
  const said = texts(page, '.messages pre');
  await eventually('the log', said, ['{"html":"<img src=x onerror=alert(1)>"}', '"before"']);
  await page.getByText('live', { exact: true }).waitFor();
  await eventually('its members', async () => (await texts(page, 'td[data-label=User]')()).sort(), ['a console', 'ann <b>bold</b>']);
  await page.getByLabel('JSON, or else text').fill('{"n": 1}');
  await page.keyboard.press('Control+Enter');
  await page.getByText('Published at offset 3.').waitFor();
  await eventually('what arrives', async () => (await said())[0], '{"n":1}');
  client.send('{"type":"publish","data":"of a client"}');
  await eventually('what arrives then', async () => (await said())[0], '"of a client"');
  const offsets = ['offset 4', 'offset 3', 'offset 2', 'offset 1'];
  await eventually('each once', texts(page, '.messages .about span:first-child'), offsets);
  await picture(page, 'room');
  await go(page, 'explain/publication/plans/3');
  await page.getByText('the system has taken all of it for the connection').first().waitFor();
  await page.locator('td[data-label=Connection] a').first().click();
  await page.getByText('nothing waits for its socket').waitFor();
  await picture(page, 'explain');
  client.close();
  await go(page, 'connections');
  await page.getByText('peer close').first().waitFor();
  await picture(page, 'connections');
  await go(page, 'limits');
  await page.getByText('history_bytes', { exact: true }).waitFor();
  const used = () => page.locator('tr:not(:has(td[data-label="In use"]:text-is("–"))) td[data-label=Limit]').allTextContents();
  await eventually('the limits that have a use', async () => (await used()).sort(), WITH_USE);
  await picture(page, 'limits');
  await go(page, 'overview');
  await page.getByText('Published', { exact: true }).waitFor();
  expect('what the browser shows in red', wrong, []);
  await page.context().close();
  done('console: a room shows its log, its members and what arrives, each once and as text');
}

// A log that is longer than what the page keeps.
async function aLongLog(browser) {
  const own = await new Server('--history-messages', '400').ready;
  const { page, wrong } = await enter(browser, own.address);
  for (let n = 0; n < 320; n += 1) await api('publish', { channel: 'long', data: n }, own.address);
  await go(page, 'room/long');
  const shown = () => page.locator('.messages li').count();
  const older = page.getByRole('button', { name: 'Older' });
  for (let pages = 1; pages <= 6; pages += 1) {
    await eventually('the messages that are shown', shown, 50 * pages);
    if (pages < 6) await older.click();
  }
  await page.getByText('This page shows the newest 300 messages; the method history reads those before them.').waitFor();
  expect('whether more can be asked for', await older.isVisible(), false);
  expect('what the browser shows in red', wrong, []);
  await page.context().close();
  await own.stop();
  done('console: a log is shown up to 300 messages, and the page says that there are more');
}

// A room that is too large to be listed again and again.
async function aLargeRoom(browser, own) {
  const members = await Promise.all(Array.from({ length: 501 }, async () => {
    const member = new WebSocket(`ws://${own}/ws/large?greeting=off`);
    await new Promise((resolve) => member.addEventListener('open', resolve, { once: true }));
    return member;
  }));
  const { page, wrong } = await enter(browser, own);
  const asked = [];
  page.on('request', (request) => asked.push(new URL(request.url()).pathname));
  await go(page, 'room/large');
  const list = page.getByRole('button', { name: 'List 502 members' });
  await list.waitFor();
  const { num_clients: all, num_users: users } = await api('presence_stats', { channel: 'large' }, own);
  const numbers = `connections ${all} · users ${users}`;
  await page.getByText(numbers).waitFor();
  expect('calls that list members', asked.filter((path) => path === '/api/presence'), []);
  await list.click();
  await page.getByText(`${numbers}, the first 100 of 502 shown`).waitFor();
  expect('calls that list members, once one was asked for', asked.filter((path) => path === '/api/presence').length, 1);
  expect('what the browser shows in red', wrong, []);
  await page.context().close();
  members.forEach((member) => member.close());
  done('console: the members of a large room are counted, and listed when somebody asks');
}

async function manyRooms(browser, own) {
  const { page, wrong } = await enter(browser, own);
  await page.getByRole('link', { name: 'Rooms' }).click();
  await eventually('a page of rooms', () => page.locator('tbody tr').count(), 100);
  // The longest time between two pictures of the screen, while somebody types and turns pages.
  await page.evaluate(() => {
    window.longest = 0;
    let last = performance.now();
    const next = () => {
      window.longest = Math.max(window.longest, performance.now() - last);
      last = performance.now();
      requestAnimationFrame(next);
    };
    requestAnimationFrame(next);
  });
  const first = () => page.locator('tbody td').first().textContent();
  for (const at of [100, 200, 300]) {
    await page.getByRole('button', { name: 'Next' }).click();
    await eventually(`the page from room ${at} on`, first, `room:${String(at).padStart(4, '0')}`);
  }
  await page.getByRole('button', { name: 'Previous' }).click();
  await eventually('the page before', first, 'room:0200');
  await page.getByLabel('Filter').pressSequentially('0777', { delay: 50 });
  await eventually('what is found', texts(page, 'tbody a'), ['room:0777']);
  await picture(page, 'rooms_filtered');
  await page.getByLabel('Filter').fill('');
  await eventually('all of them', () => page.locator('tbody tr').count(), 100);
  await picture(page, 'rooms');
  const longest = await page.evaluate('window.longest');
  expect(`a picture within ${FLUID_MS} ms (the longest took ${longest.toFixed(0)})`, longest < FLUID_MS, true);
  expect('what the browser shows in red', wrong, []);
  await page.context().close();
  done(`console: ${ROOMS} rooms stay fluid (longest time without a picture: ${longest.toFixed(0)} ms)`);
}

async function narrowAndDark(browser, own) {
  const narrow = { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true };
  const { page } = await enter(browser, own, narrow);
  for (const view of ['overview', 'rooms', 'room/room%3A0001', 'connections', 'limits', 'explain/room/room%3A0001']) {
    await go(page, view);
    await page.waitForLoadState('networkidle').catch(() => {});
    const width = () => page.evaluate(() => document.documentElement.scrollWidth);
    await eventually(`the width of ${view}`, width, 360);
    await picture(page, `narrow_${view.split('/')[0]}`);
  }
  await page.context().close();
  const dark = await enter(browser, own, { colorScheme: 'dark' });
  await dark.page.getByText('ok', { exact: true }).waitFor();
  const colours = await dark.page.evaluate(() => {
    const light = (text) => text.match(/\d+/g).slice(0, 3).reduce((sum, part) => sum + Number(part), 0) / 3;
    const of = getComputedStyle(document.body);
    return [light(of.backgroundColor) < 60, light(of.color) > 180];
  });
  expect('a dark page with light text', colours, [true, true]);
  await picture(dark.page, 'dark_overview');
  await go(dark.page, 'limits');
  await dark.page.getByText('history_bytes', { exact: true }).waitFor();
  await picture(dark.page, 'dark_limits');
  await dark.page.context().close();
  done('console: nothing scrolls sideways at 360 px, and dark mode is dark');
}

async function byKeyboard(browser, own) {
  const { page } = await open(browser, own);
  await page.getByText('This page listens to the room lobby.').waitFor();
  const focused = () => page.evaluate(() => document.activeElement.textContent || document.activeElement.value);
  const order = [];
  for (let steps = 0; steps < 8; steps += 1) {
    await page.keyboard.press('Tab');
    order.push(await focused());
  }
  expect('the order of the keyboard', order, ['Overview', 'Rooms', 'Connections', 'Limits', 'Why?', 'lobby', 'hello', 'Send']);
  const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
  expect('the outline of what is focused', outline, 'solid');
  await page.keyboard.press('Enter');
  await eventually('what arrives', texts(page, '#first .arrived code'), ['"hello"']);
  for (let steps = 0; steps < 6; steps += 1) await page.keyboard.press('Shift+Tab');
  await page.keyboard.press('Enter');
  await eventually('where the view begins', focused, 'Rooms');
  expect('the address', await page.evaluate('location.hash'), '#rooms');
  await page.context().close();
  done('console: everything is reached by the keyboard, and shows where it is');
}

// Members of so many rooms: one connection may be in a part of them.
async function fill(address) {
  const names = Array.from({ length: ROOMS }, (_, at) => `room:${String(at).padStart(4, '0')}`);
  const members = [];
  for (let at = 0; at < ROOMS; at += 100) {
    const rooms = names.slice(at, at + 100).map((name) => `room=${encodeURIComponent(name)}`);
    const member = new WebSocket(`ws://${address}/ws?${rooms.join('&')}&greeting=off`);
    await new Promise((resolve) => member.addEventListener('open', resolve, { once: true }));
    members.push(member);
  }
  return members;
}

run(async () => {
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: [...CHROMIUM, ...QUIET] });
  await firstMessage(browser);
  const production = await new Server('--dev', 'false').ready;
  await keys(browser, production.address);
  await production.stop();
  const server = await new Server().ready;
  const bare = await new BareServer().ready;
  await byKeyboard(browser, bare.address);
  await bare.stop();
  await aRoom(browser, server.address);
  await aLargeRoom(browser, server.address);
  await aLongLog(browser);
  const members = await fill(server.address);
  await manyRooms(browser, server.address);
  await narrowAndDark(browser, server.address);
  members.forEach((member) => member.close());
  await server.stop();
  await browser.close();
});
