// The page: which view is shown, the key, and the figures that all views get every two seconds.
import { health, isKey, session, useKey } from './api.js';
import { connections } from './connections.js';
import { duration, element, repeat } from './dom.js';
import { explain } from './explain.js';
import { sample } from './graph.js';
import { limits } from './limits.js';
import { overview } from './overview.js';
import { room } from './room.js';
import { rooms } from './rooms.js';

const PAUSE = 2000;
const VIEWS = [
  ['overview', 'Overview', overview],
  ['rooms', 'Rooms', rooms],
  ['connections', 'Connections', connections],
  ['limits', 'Limits', limits],
  ['explain', 'Why?', explain],
];

const at = (id) => document.getElementById(id);
const links = VIEWS.map(([name, words]) => element('a', { href: `#${name}` }, words));
const state = { session: {}, view: null, figures: null, hasKey: false, isRefused: false };

function setStatus(words, of) {
  at('status').textContent = words;
  at('status').dataset.state = of;
}

function askForKey(isAsked) {
  const form = at('key');
  const wasHidden = form.hidden;
  form.hidden = !isAsked;
  at('forget').hidden = !state.hasKey || Boolean(state.session.key);
  if (isAsked && wasHidden) at('key-text').focus();
}

// The view that the address names. Names of rooms are in it, and no secret is.
function wanted() {
  const [name, ...rest] = location.hash.slice(1).split('/');
  let parts = [];
  try {
    parts = rest.map(decodeURIComponent);
  } catch {
    // It is no address that this page has written.
  }
  if (name === 'room' && parts.length > 0) return { current: 'rooms', make: room, options: { name: parts.join('/') } };
  const [current, , make] = VIEWS.find(([known]) => known === name) ?? VIEWS[0];
  return { current, make, options: { session: state.session, question: parts } };
}

function show(isMoved) {
  state.view?.stop();
  const { current, make, options } = wanted();
  VIEWS.forEach(([name, words], index) => {
    if (name === current) links[index].setAttribute('aria-current', 'page');
    else links[index].removeAttribute('aria-current');
    if (name === current) document.title = `${options.name ?? words} · Parlor`;
  });
  const root = element('div', { className: 'views' });
  at('view').replaceChildren(root);
  // What needs the key would only be refused without it.
  state.view = state.hasKey || make === overview ? make(root, options) : null;
  if (state.figures) state.view?.update?.(state.figures);
  at('view').hidden = !state.view || !(state.hasKey || state.figures);
  if (isMoved) root.querySelector('h2[tabindex]')?.focus();
  askForKey(!state.hasKey);
}

async function refresh() {
  // Each refusal is counted by the server, where an operator looks for those who guess.
  if (state.isRefused) return;
  try {
    const figures = await health();
    state.figures = figures;
    at('view').hidden = !state.view;
    const words = { ok: 'ok', degraded: 'degraded' }[figures.status] ?? figures.status;
    setStatus(words, ['ok', 'degraded'].includes(figures.status) ? figures.status : 'bad');
    at('server').textContent = `${figures.node} · ${figures.version} · up ${duration(Math.floor(figures.uptime_seconds))}`;
    sample(figures);
    state.view?.update?.(figures);
  } catch (refused) {
    state.isRefused = refused.status === 401;
    setStatus(refused.status === 401 ? 'needs a key' : refused.message, refused.status === 401 ? '' : 'bad');
  }
}

function takeKey(text) {
  useKey(text);
  state.hasKey = text !== '';
  state.isRefused = false;
  show(false);
  refresh();
}

at('key').addEventListener('submit', async (event) => {
  event.preventDefault();
  const text = at('key-text').value;
  at('key-error').textContent = '';
  try {
    if (!(await isKey(text))) throw new Error('The server has no such key.');
    at('key-text').value = '';
    takeKey(text);
  } catch (wrong) {
    at('key-error').textContent = wrong.message;
    at('key-text').select();
  }
});
at('forget').addEventListener('click', () => {
  state.figures = null;
  takeKey('');
});
addEventListener('hashchange', () => show(true));

at('views').append(...links.map((link) => element('li', {}, link)));
try {
  state.session = await session();
} catch {
  // It is asked for again when the page is loaded again; a key can be typed in meanwhile.
}
if (state.session.key) useKey(state.session.key);
state.hasKey = Boolean(state.session.key);
show(false);
repeat(refresh, PAUSE);
