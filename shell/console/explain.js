// Why? What the server knows of a connection, of a publication and whom it reached, or of a room. The question is in the address.
import { call } from './api.js';
import { count, element, shortId, table } from './dom.js';

const PER_PAGE = 50;

const address = (...parts) => ['#explain', ...parts.map(encodeURIComponent)].join('/');

// The start of a connection's id, which leads to what is known of it.
export const linkToConnection = (client) => element('a', { href: address('connection', client) }, shortId(client));

// The link to whom a publication reached.
export const linkToPublication = (room, offset) => element('a', { href: address('publication', room, String(offset)) }, `offset ${offset}`);

// The body of the call that a question is.
function bodyOf([kind, name, offset]) {
  if (kind === 'connection') return { client: name };
  if (kind === 'room') return { channel: name };
  return { channel: name, offset: Number(offset), limit: PER_PAGE };
}

export function explain(root, { question }) {
  let isStopped = false;
  const [kind, name = '', offset = ''] = question;
  const error = element('p', { className: 'error', role: 'alert' });
  const answer = element('section', { className: 'card', hidden: true });
  root.append(form(kind, name, offset), error, answer);
  const load = async () => {
    try {
      const result = await call('explain', bodyOf(question));
      if (isStopped) return;
      answer.replaceChildren(...shown(question, result));
      answer.hidden = false;
    } catch (refused) {
      error.textContent = refused.message;
    }
  };
  if (kind) load();
  return {
    stop: () => {
      isStopped = true;
    },
  };
}

function form(kind, name, offset) {
  const input = (words, value, more = {}) => {
    const field = element('input', { value, autocomplete: 'off', spellcheck: false, ...more });
    return [field, element('label', {}, element('span', {}, words), field)];
  };
  const isConnection = kind === 'connection';
  const [client, ofClient] = input('Connection', isConnection ? name : '', { placeholder: 'its whole id' });
  const [room, ofRoom] = input('Room', isConnection ? '' : name);
  const [at, ofOffset] = input('Offset', offset, { inputMode: 'numeric', pattern: '[0-9]*' });
  const made = element(
    'form',
    { className: 'card' },
    element('div', { className: 'head' }, element('h2', { tabIndex: -1 }, 'Why?'), element('p', { className: 'muted small' }, 'A connection, a room, or whom a publication reached.')),
    ofClient,
    ofRoom,
    ofOffset,
    element('button', { type: 'submit' }, 'Explain'),
  );
  made.addEventListener('submit', (event) => {
    event.preventDefault();
    if (client.value) location.hash = address('connection', client.value.trim());
    else if (room.value && at.value) location.hash = address('publication', room.value, at.value);
    else if (room.value) location.hash = address('room', room.value);
  });
  return made;
}

function shown(question, result) {
  const parts = [element('p', {}, result.why)];
  const of = result.connection ?? result.room ?? result.publication;
  if (of) parts.push(facts(of));
  if (result.connection) parts.push(memberships(result.connection.rooms));
  if (result.publication) parts.push(deliveries(question, result));
  return parts;
}

// What is a word or a number, and of what is more than that each part.
function facts(of) {
  const rows = [];
  const add = (name, value) => {
    if (value === null || value === '' || Array.isArray(value)) return;
    if (typeof value === 'object') Object.entries(value).forEach(([part, inner]) => add(`${name} ${part}`, inner));
    else rows.push([name.replaceAll('_', ' '), name.endsWith('_ms') ? new Date(value).toLocaleString() : String(value)]);
  };
  Object.entries(of).forEach(([name, value]) => add(name, value));
  (of.limits ?? []).forEach(({ limit, times }) => rows.push([`limit ${limit}`, `exceeded ${count(times)} times`]));
  (of.deadlines ?? []).forEach(({ timer, in_seconds: left }) => rows.push([`timer ${timer}`, `in ${left.toFixed(1)} s`]));
  const list = table([
    { name: 'What', cell: ([name]) => name },
    { name: 'Value', cell: ([, value]) => value },
  ]);
  list.show(rows);
  return list.root;
}

function memberships(rooms) {
  const of = ({ joined }, name) => (joined ? joined[name] ?? '–' : 'joining');
  const list = table([
    { name: 'Room', cell: ({ channel }) => element('a', { href: address('room', channel) }, channel) },
    { name: 'Because of', cell: ({ reasons }) => reasons.join(', ') },
    { name: 'Joined at', isNumber: true, cell: (room) => of(room, 'joined_at') },
    { name: 'Missed from', isNumber: true, cell: (room) => of(room, 'replayed_from') },
    { name: 'Sent through', isNumber: true, cell: (room) => of(room, 'sent_through') },
  ]);
  list.show(rooms);
  return list.root;
}

function deliveries(question, first) {
  const all = [...first.deliveries];
  let cursor = first.cursor;
  const list = table([
    { name: 'Connection', cell: ({ client }) => linkToConnection(client) },
    { name: 'User', cell: ({ user }) => user || '–' },
    { name: 'Outcome', cell: ({ outcome }) => outcome.replaceAll('_', ' ') },
    { name: 'Why', cell: ({ why, ended }) => (ended ? `${why} (ended: ${ended.replaceAll('_', ' ')})` : why) },
  ]);
  list.show(all);
  const more = element('button', { type: 'button', className: 'quiet', hidden: !cursor }, 'More');
  const wrong = element('p', { className: 'error', role: 'alert' });
  more.addEventListener('click', async () => {
    try {
      const page = await call('explain', { ...bodyOf(question), cursor });
      all.push(...page.deliveries);
      ({ cursor } = page);
      list.show(all);
      more.hidden = !cursor;
    } catch (refused) {
      wrong.textContent = refused.message;
    }
  });
  return element('div', {}, list.root, wrong, more);
}
