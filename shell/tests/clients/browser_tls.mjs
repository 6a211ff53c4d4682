// A page in Chromium that connects over TLS, for `browser_tls.py`: says what becomes of its connection, line by line.
import { createServer } from 'node:http';
import { chromium } from 'playwright-core';

const CHROMIUM = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync'];
// Nothing but this machine is looked up.
const QUIET = ['--disable-background-networking', '--disable-component-update', '--host-resolver-rules=MAP * 127.0.0.1'];

const pages = createServer((_, response) => response.setHeader('content-type', 'text/html').end('<!doctype html>a page'));
await new Promise((resolve) => pages.listen(0, '127.0.0.1', resolve));
const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: [...CHROMIUM, ...QUIET] });
process.once('SIGTERM', async () => {
  await browser.close();
  process.exit(0);
});
const page = await browser.newPage();
await page.exposeFunction('say', (text) => console.log(text));
await page.goto(`http://localhost:${pages.address().port}/`);
await page.evaluate((url) => {
  const socket = new WebSocket(url);
  socket.onopen = () => say('"open"');
  socket.onerror = () => say('"refused"');
  socket.onmessage = ({ data }) => say(data);
}, `wss://${process.argv[2]}/ws/room?greeting=off`);
