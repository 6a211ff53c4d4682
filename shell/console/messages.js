// The messages of a room, the newest first: those of its log, and those that arrive. Many may arrive at once, so the list is
// written once for each picture of the screen, and keeps the last ones; it says so where there may be more.
import { count, element, time } from './dom.js';

const KEPT = 300;
const SHOWN_CHARACTERS = 2000;

// `readOlder` reads a page of so many messages before the position that it is given.
export function messageList(pageLength, readOlder) {
  const list = element('ol', { className: 'messages', role: 'log', 'aria-label': 'Messages' });
  const place = element('p', { className: 'muted small' });
  const older = element('button', { type: 'button', className: 'quiet', hidden: true }, 'Older');
  const full = element('p', { className: 'muted small', role: 'status' });
  const root = element('div', {}, list, older, full);
  let epoch = null;
  let top = 0;
  let messages = [];
  let arrived = 0;
  let last = null;
  let isWaiting = false;
  let hasOlder = false;

  const write = () => {
    isWaiting = false;
    messages.sort((one, other) => other.order - one.order || other.number - one.number);
    messages.length = Math.min(messages.length, KEPT);
    messages.forEach((message) => {
      message.item ??= item(message);
    });
    list.replaceChildren(...messages.map((message) => message.item));
    const isFull = messages.length === KEPT;
    older.hidden = !hasOlder || isFull;
    full.textContent = isFull ? `This page shows the newest ${KEPT} messages; the method history reads those before them.` : '';
    const log = epoch ? `log ${epoch}, top offset ${count(top)}` : 'no log';
    place.textContent = arrived > 0 ? `${log} · ${count(arrived)} arrived` : log;
  };
  const schedule = () => {
    if (!isWaiting) requestAnimationFrame(write);
    isWaiting = true;
  };
  // Another log has begun.
  const enter = (other) => {
    if (epoch !== null && epoch !== other) messages = messages.filter(({ offset }) => offset === null);
    if (epoch !== other) top = 0;
    epoch = other;
  };
  const addLog = (page) => {
    hasOlder = page.publications.length === pageLength;
    enter(page.epoch || null);
    top = Math.max(top, page.offset);
    const known = new Set(messages.map(({ offset }) => offset));
    page.publications
      .filter(({ offset }) => !known.has(offset))
      .forEach(({ offset, data, info }) => {
        messages.push({ offset, order: offset, number: 0, text: JSON.stringify(data), user: info?.user ?? '', at: null });
      });
    schedule();
  };
  const addLive = (text) => {
    arrived += 1;
    // Where it is, if it is anywhere, is said next.
    last = { offset: null, order: top + 0.5, number: arrived, text, user: '', at: Date.now() };
    messages.push(last);
    // So many may come that even a hidden page, for which nothing is written, has to let the oldest go.
    if (messages.length > 2 * KEPT) messages = messages.slice(-KEPT);
    schedule();
  };
  const placeLive = ({ epoch: of, offset }) => {
    enter(of);
    top = Math.max(top, offset);
    const placed = last;
    last = null;
    if (!placed || offset <= 0) return;
    if (messages.some((message) => message.offset === offset)) messages = messages.filter((message) => message !== placed);
    else Object.assign(placed, { offset, order: offset, item: null });
    schedule();
  };
  older.addEventListener('click', () => {
    readOlder({ epoch, offset: Math.min(...messages.map(({ offset }) => offset ?? Infinity)) });
  });
  return { root, place, addLog, addLive, placeLive };
}

function item({ offset, text, user, at }) {
  const about = element(
    'div',
    { className: 'about' },
    element('span', {}, offset === null ? 'not kept' : `offset ${offset}`),
    at === null ? null : element('span', {}, time(at)),
    user ? element('span', {}, `from ${user}`) : null,
  );
  const content = element('pre', {}, text.slice(0, SHOWN_CHARACTERS));
  const made = element('li', {}, about, content);
  if (text.length > SHOWN_CHARACTERS) {
    const all = element('button', { type: 'button', className: 'quiet' }, `All ${count(text.length)} characters`);
    all.addEventListener('click', () => {
      content.textContent = text;
      all.remove();
    });
    made.append(all);
  }
  return made;
}
