// A TCP proxy between clients and the server, to break what the two believe to be connected.
import net from 'node:net';
import { address } from './harness.mjs';

export class Proxy {
  target = address;
  // While it is true, whoever comes is hung up on.
  refusing = false;
  #pairs = new Set();
  #midway = new Set();

  async listen() {
    this.server = net.createServer((near) => this.#join(near));
    await new Promise((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    this.address = `127.0.0.1:${this.server.address().port}`;
    return this;
  }

  #join(near) {
    if (this.refusing) return near.resetAndDestroy();
    const [host, port] = this.target.split(':');
    const far = net.connect({ host, port });
    const pair = [near, far];
    this.#pairs.add(pair);
    const part = () => this.#end(pair);
    for (const socket of pair) socket.setNoDelay().on('error', part).on('close', part);
    near.on('data', (bytes) => far.write(bytes));
    far.on('data', (bytes) => {
      if (!this.#midway.delete(pair)) return near.write(bytes);
      near.end(bytes.subarray(0, bytes.length / 2), part);
    });
  }

  #end(pair) {
    this.#pairs.delete(pair);
    this.#midway.delete(pair);
    pair.forEach((socket) => socket.resetAndDestroy());
  }

  cut() {
    this.#pairs.forEach((pair) => this.#end(pair));
  }

  // Cuts in the middle of what the server sends next.
  cutMidway() {
    this.#pairs.forEach((pair) => this.#midway.add(pair));
  }
}
