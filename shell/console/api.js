// The server's API, with the key that was typed in. The key is in this variable and nowhere else: in no storage and no URL.
let key = '';

// What the server answers instead of a result.
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export const useKey = (text) => {
  key = text;
};

async function ask(path, options) {
  const headers = key ? { 'X-API-Key': key } : {};
  let answer;
  try {
    answer = await fetch(path, { ...options, headers, cache: 'no-store' });
  } catch {
    throw new Refused(0, 'The server does not answer.');
  }
  const body = await answer.json().catch(() => ({}));
  if (answer.ok && !body.error) return body;
  throw new Refused(answer.status, body.error?.message ?? `The server answers ${answer.status}.`);
}

// The result of an API call.
export async function call(method, parameters = {}) {
  const body = await ask(`/api/${method}`, { method: 'POST', body: JSON.stringify(parameters) });
  return body.result;
}

// The figures of the server.
export const health = () => ask('/health');

// The mode of the server, and in development mode a key.
export const session = () => ask('/console/session', { method: 'POST' });

// Whether the server knows this key, whatever it may do.
export async function isKey(text) {
  const before = key;
  key = text;
  try {
    await call('info');
    return true;
  } catch (refused) {
    if (refused.status === 403) return true;
    if (refused.status === 401) return false;
    throw refused;
  } finally {
    key = before;
  }
}
