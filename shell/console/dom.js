// Elements, and numbers as people read them. Text always becomes a text node: nothing that a client says is ever markup.

// An element with these properties and children. `on` has listeners, `data` the values of data attributes.
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === 'on') {
      for (const [event, listener] of Object.entries(value)) made.addEventListener(event, listener);
    } else if (name === 'data') {
      Object.assign(made.dataset, value);
    } else if (name in made) {
      made[name] = value;
    } else {
      made.setAttribute(name, value);
    }
  }
  made.append(...children.filter((child) => child !== null && child !== undefined).map(toNode));
  return made;
}

function toNode(child) {
  return child instanceof Node ? child : document.createTextNode(String(child));
}

// A table of these columns: name, whether it is a number, and the cell of an item as text or an element.
export function table(columns) {
  const body = element('tbody');
  const heads = columns.map(({ name, isNumber }) => element('th', { scope: 'col', className: isNumber ? 'number' : '' }, name));
  const root = element('table', {}, element('thead', {}, element('tr', {}, ...heads)), body);
  const row = (item) => {
    const cells = columns.map(({ name, isNumber, cell }) =>
      element('td', { className: isNumber ? 'number' : '', data: { label: name } }, cell(item)),
    );
    return element('tr', {}, ...cells);
  };
  const show = (items) => body.replaceChildren(...items.map(row));
  return { root, show };
}

const WHOLE = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const PART = new Intl.NumberFormat('en', { maximumFractionDigits: 2 });
const PRECISE = new Intl.NumberFormat('en', { maximumSignificantDigits: 3 });

export const count = (number) => WHOLE.format(number);
export const rate = (number) => (number < 100 ? PRECISE.format(number) : WHOLE.format(number));

// With two digits behind the point, but never as all or nothing where it is neither.
export function percent(part) {
  if (part > 0 && part < 0.0001) return '< 0.01 %';
  if (part < 1 && part > 0.9999) return '> 99.99 %';
  return `${PART.format(part * 100)} %`;
}

export function bytes(number) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let at = 0;
  for (; number >= 1024 && at < units.length - 1; at += 1) number /= 1024;
  return `${PRECISE.format(number)} ${units[at]}`;
}

export function duration(seconds) {
  if (seconds < 60) return `${PRECISE.format(seconds)} s`;
  const parts = [['d', 86400], ['h', 3600], ['min', 60]].map(([unit, size]) => {
    const whole = Math.floor(seconds / size);
    seconds -= whole * size;
    return [whole, unit];
  });
  const first = parts.findIndex(([whole]) => whole > 0);
  return parts.slice(first, first + 2).map(([whole, unit]) => `${whole} ${unit}`).join(' ');
}

export const time = (milliseconds) => new Date(milliseconds).toLocaleTimeString();

// The start of a public id, which tells connections apart for a person; the whole of it where it is pointed at.
export const shortId = (client) => element('code', { title: client }, client.slice(0, 8));

// Calls `act` at once and then every so often, while the page is seen, until it is stopped. It is never called twice at a time.
export function repeat(act, milliseconds) {
  let timer = null;
  let isStopped = false;
  const turn = async () => {
    if (!document.hidden) await act();
    if (!isStopped) timer = setTimeout(turn, milliseconds);
  };
  turn();
  return () => {
    isStopped = true;
    clearTimeout(timer);
  };
}
