// Why? What the server knows of a connection, of a publication and whom it reached, or of a room. The question is in the address.
import { call } from './api.js';
import { count, element, shortId, table } from './dom.js';

const PER_PAGE = 50;

const address = (...parts) => ['#explain', ...parts.map(encodeURIComponent)].join('/');

// The start of a connection's id, which leads to what is known of it.
export const linkToConnection = (client) => element('a', { href: address('connection', client) }, shortId(client));

// The body of the call that a question is.
function bodyOf([kind, name, offset, client]) {
  if (kind === 'connection') return { client: name };
  if (kind === 'room') return { channel: name };
  return { channel: name, offset: Number(offset), limit: PER_PAGE, ...(client ? { client } : {}) };
}

export function explain(root, { question }) {
  let isStopped = false;
  const [kind, name = '', offset = '', client = ''] = question;
  const error = element('p', { className: 'error', role: 'alert' });
  const answer = element('section', { className: 'card', hidden: true });
  const load = async () => {
    error.textContent = '';
    try {
      const result = await call('explain', bodyOf(question));
      if (isStopped) return;
      answer.replaceChildren(...shown(question, result));
      answer.hidden = false;
    } catch (refused) {
      error.textContent = refused.message;
    }
  };
  root.append(form(kind === 'connection' ? [name, '', ''] : [client, name, offset], load), error, answer);
  if (kind) load();
  return {
    stop: () => {
      isStopped = true;
    },
  };
}

function form([ofWhom, where, which], again) {
  const input = (words, value, more = {}) => {
    const field = element('input', { value, autocomplete: 'off', spellcheck: false, ...more });
    return [field, element('label', {}, element('span', {}, words), field)];
  };
  const [client, ofClient] = input('Connection', ofWhom, { placeholder: 'its whole id' });
  const [room, ofRoom] = input('Room', where);
  const [at, ofOffset] = input('Offset', which, { inputMode: 'numeric', pattern: '[0-9]*' });
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
    const id = client.value.trim();
    let wanted = '#explain';
    if (room.value && at.value) wanted = address('publication', room.value, at.value, ...(id ? [id] : []));
    else if (id) wanted = address('connection', id);
    else if (room.value) wanted = address('room', room.value);
    if (location.hash === wanted) again();
    else location.hash = wanted;
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
    if (value === null || value === '' || (Array.isArray(value) && typeof value[0] !== 'string')) return;
    if (Array.isArray(value)) rows.push([name, value.join(', ')]);
    else if (typeof value === 'object') Object.entries(value).forEach(([part, inner]) => add(`${name} ${part}`, inner));
    else rows.push([name.replace(/_ms$/, '').replaceAll('_', ' '), name.endsWith('_ms') ? new Date(value).toLocaleString() : String(value)]);
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
      const page = await call('explain', { ...bodyOf(question), epoch: first.publication.epoch, cursor });
      if (!page.publication) throw new Error(page.why);
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
