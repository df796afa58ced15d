// A fifobus client for Node.js, without any package:
//
//   node client.js sub PATTERN     prints each payload and a newline
//   node client.js pub TOPIC       publishes each line of standard input
//
// Written from proto/PROTOCOL.md and proto/FRAMING.md, whose words it uses.
'use strict';

const {execFileSync} = require('child_process');
const crypto = require('crypto');
const fs = require('fs');
const net = require('net');
const {constants: C} = fs;

const MESSAGE = 1, HELLO = 2, WELCOME = 3, SUBSCRIBE = 4, PING = 12, PONG = 13;
const ERROR = 16, GOODBYE = 17;
const CODE_LIMIT = 7;
const OPEN = C.O_NONBLOCK | C.O_NOFOLLOW;

const die = (text) => {
  process.stderr.write(`client.js: ${text}\n`);
  process.exit(1);
};
const sleep = (millis) => new Promise((done) => setTimeout(done, millis));

// Protobuf: what a client needs of it.

const varint = (value) => {
  const bytes = [];
  for (; value >= 0x80; value = Math.floor(value / 128)) bytes.push(value % 128 + 128);
  return Buffer.from([...bytes, value]);
};
const numberField = (field, value) => Buffer.concat([varint(field * 8), varint(value)]);
const bytesField = (field, bytes) =>
  Buffer.concat([varint(field * 8 + 2), varint(bytes.length), bytes]);

function frameOf(number, ...fields) {
  const body = bytesField(number, Buffer.concat(fields));
  const prefix = Buffer.alloc(4);
  prefix.writeUInt32BE(body.length);
  return Buffer.concat([prefix, body]);
}

// The fields of a message by number; of a number that repeats, the last.
function fieldsOf(bytes) {
  let at = 0;
  const takeVarint = () => {
    let value = 0;
    for (let scale = 1; at < bytes.length; scale *= 128) {
      const byte = bytes[at++];
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
    return die('the broker sent a bad frame');
  };
  const fields = {};
  while (at < bytes.length) {
    const tag = takeVarint();
    const type = tag % 8;
    const size = type === 2 ? takeVarint() : type === 1 ? 8 : 4;
    if (type === 0) {
      fields[(tag - type) / 8] = takeVarint();
    } else if ([1, 2, 5].includes(type) && at + size <= bytes.length) {
      fields[(tag - type) / 8] = bytes.subarray(at, at += size);
    } else {
      die('the broker sent a bad frame');
    }
  }
  return fields;
}

// Finding the bus.

function isAlive(dir) {
  try {
    const {uid} = fs.lstatSync(dir);
    if (uid !== process.geteuid() && uid !== 0) return false;
    const fd = fs.openSync(`${dir}/alive`, C.O_RDONLY | OPEN);
    try {
      fs.readSync(fd, Buffer.alloc(1));
      return false;
    } catch (error) {
      return error.code === 'EAGAIN';
    } finally {
      fs.closeSync(fd);
    }
  } catch {
    return false;
  }
}

function findBus() {
  const {FIFOBUS_DIR: chosen, XDG_RUNTIME_DIR: runtime} = process.env;
  const places = chosen ? [chosen] : ['/run/fifobus',
    ...(runtime ? [`${runtime}/fifobus`] : []), `/dev/shm/fifobus-${process.getuid()}`];
  return places.find(isAlive);
}

// One session, from its Hello to its end. `onFrame(number, fields)` gets what the
// broker sends; `over` is resolved when the broker has gone.
class Session {
  constructor(onFrame) {
    this.onFrame = onFrame;
    this.pending = Buffer.alloc(0);
    this.over = new Promise((resolve) => { this.end = resolve; });
  }

  offer(bus) {
    const id = crypto.randomBytes(16).toString('hex');
    const hidden = `${bus}/sessions/.${id}`;
    this.base = `${bus}/sessions/${id}`;
    execFileSync('mkfifo', ['-m', '600', `${hidden}.down`, `${hidden}.up`],
        {stdio: 'ignore'});
    this.downFd = fs.openSync(`${hidden}.down`, C.O_RDONLY | OPEN);
    this.upReader = fs.openSync(`${hidden}.up`, C.O_RDONLY | OPEN);
    this.upFd = fs.openSync(`${hidden}.up`, C.O_WRONLY | OPEN);
    fs.writeSync(this.upFd, frameOf(HELLO, numberField(1, 1),
        bytesField(2, Buffer.from('client.js')), numberField(3, process.pid)));
    fs.renameSync(`${hidden}.down`, `${this.base}.down`);
    fs.renameSync(`${hidden}.up`, `${this.base}.up`);
  }

  // Resolves to whether there was a Welcome. Until the broker has opened `down` its
  // end says nothing, so it is read by hand up to there.
  async greet(bus) {
    const buffer = Buffer.alloc(65536);
    let seen = false;
    for (let silent = 0; silent < 1000; await sleep(2)) {
      try {
        const size = fs.readSync(this.downFd, buffer);
        if (size === 0 && seen) return false;
        this.pending = Buffer.concat([this.pending, buffer.subarray(0, size)]);
      } catch (error) {
        if (error.code !== 'EAGAIN') throw error;
        seen = true;
      }
      const frame = this.takeFrame();
      if (frame) return this.onFirstFrame(...frame);
      if (!isAlive(bus)) return false;
      if (!fs.existsSync(`${this.base}.up`)) silent += 2;
    }
    return false;
  }

  onFirstFrame(number, fields) {
    if (number === ERROR && fields[1] === CODE_LIMIT) return false;
    if (number !== WELCOME) die(`refused: ${fields[2]}`);
    this.bodyBytesMax = fields[2];
    fs.closeSync(this.upReader);
    this.upReader = -1;
    // From here on libuv has them, which waits for bytes and for room.
    this.up = new net.Socket({fd: this.upFd, readable: false, writable: true});
    // What the broker said before it went away is in `down`, which is read to its end.
    this.up.on('error', () => {});
    this.down = new net.Socket({fd: this.downFd, readable: true, writable: false});
    this.down.on('data', (bytes) => this.take(bytes));
    this.down.on('end', () => this.lose());
    this.down.on('error', () => this.lose());
    this.take(Buffer.alloc(0));
    return true;
  }

  takeFrame() {
    if (this.pending.length < 4) return null;
    const size = this.pending.readUInt32BE();
    if (size > 1 << 24) die('the broker sent no frame');
    if (this.pending.length < 4 + size) return null;
    const [[number, member]] = Object.entries(fieldsOf(this.pending.subarray(4, 4 + size)));
    this.pending = this.pending.subarray(4 + size);
    return [Number(number), fieldsOf(member)];
  }

  take(bytes) {
    this.chunks = [...(this.chunks || []), bytes];
    this.have = (this.have || 0) + bytes.length;
    if (this.pending.length + this.have < (this.wanted || 0)) return;
    this.pending = Buffer.concat([this.pending, ...this.chunks]);
    this.chunks = [];
    this.have = 0;
    for (let frame; (frame = this.takeFrame());) {
      if (frame[0] === GOODBYE) this.up.end();  // and go on reading
      this.onFrame(...frame);
    }
    this.wanted = this.pending.length < 4 ? 4 : 4 + this.pending.readUInt32BE();
  }

  // Resolves to whether all of the frame is in the pipe.
  write(frame) {
    return new Promise((resolve) => {
      if (this.lost || this.up.writableEnded) return resolve(false);
      this.over.then(() => resolve(false));
      return this.up.write(frame, (error) => resolve(!error));
    });
  }

  lose() {
    this.lost = true;
    this.up.destroy();
    this.down.destroy();
    this.end();
  }

  // Closes a pair that the broker did not take, and removes its names.
  abandon() {
    for (const fd of [this.downFd, this.upFd, this.upReader]) {
      if (fd !== undefined) fs.closeSync(fd);
    }
    for (const end of ['up', 'down']) fs.rmSync(`${this.base}.${end}`, {force: true});
  }
}

// Resolves to a new session, however long it takes.
async function connect(onFrame) {
  for (let pause = 2;; pause = Math.min(2 * pause, 200)) {
    const bus = findBus();
    if (bus) {
      const session = new Session(onFrame);
      try {
        session.offer(bus);
        if (await session.greet(bus)) return session;
      } catch (error) {  // such as a bus that is only being made, or goes away
        process.stderr.write(`client.js: ${bus}: ${error.message.split('\n')[0]}\n`);
      }
      session.abandon();
    }
    await sleep(pause);
  }
}

async function subscribe(pattern) {
  const onFrame = (number, fields) => {
    if (number === ERROR) die(`the broker refused: ${fields[2]}`);
    if (number !== MESSAGE) return;
    // Nanoseconds, as a number rounded to some hundred of them; by the wall clock.
    if (fields[6] && fields[6] <= Date.now() * 1e6) {
      process.stderr.write('client.js: a message that has expired is missing here\n');
      return;
    }
    process.stdout.write(Buffer.concat([fields[15] || Buffer.alloc(0), Buffer.from('\n')]));
  };
  for (;;) {
    const session = await connect(onFrame);
    await session.write(frameOf(SUBSCRIBE, numberField(1, 1),
        bytesField(2, Buffer.from(pattern))));
    await session.over;
    process.stderr.write('client.js: the broker is gone; messages may be missing\n');
  }
}

async function* linesOf(stream) {
  let rest = Buffer.alloc(0);
  for await (const bytes of stream) {
    rest = Buffer.concat([rest, bytes]);
    for (let end; (end = rest.indexOf('\n')) >= 0; rest = rest.subarray(end + 1)) {
      yield rest.subarray(0, end);
    }
  }
  if (rest.length > 0) yield rest;
}

async function publish(topic) {
  const level = '[A-Za-z0-9_:@-][A-Za-z0-9_.:@-]*';
  if (!new RegExp(`^${level}(/${level}){0,15}$`).test(topic)) die(`no topic: ${topic}`);
  let answered;
  const pong = new Promise((resolve) => { answered = resolve; });
  const onFrame = (number, fields) => {
    if (number === ERROR) die(`the broker refused: ${fields[2]}`);
    if (number === PONG) answered(true);
  };
  let session = await connect(onFrame);
  for await (const line of linesOf(process.stdin)) {
    const frame = frameOf(MESSAGE, bytesField(1, Buffer.from(topic)), bytesField(15, line));
    if (frame.length - 4 > session.bodyBytesMax) die('the line is too long for this bus');
    while (!await session.write(frame)) {
      await session.over;
      session = await connect(onFrame);
    }
  }
  // The answer comes behind everything that was published. An Error comes instead of it.
  await session.write(frameOf(PING, numberField(1, 1)));
  if (!await Promise.race([pong, session.over])) die('the last lines may be lost');
  session.up.end(() => process.exit(0));
}

const [command, name] = process.argv.slice(2);
if (command === 'sub' && name) subscribe(name);
else if (command === 'pub' && name) publish(name);
else die('usage: client.js sub PATTERN | client.js pub TOPIC');
