/** The server half: operations by name, streams of records, files. Never speaks to anybody but this Jupyter server. */

import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';

import { version } from './version';

/** Something could not be done: what happened, and what to do next. */
export class ServiceError extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly hint = '',
    readonly status = 0
  ) {
    super(message);
  }

  static from(error: unknown): ServiceError {
    return error instanceof ServiceError ? error : new ServiceError('error', String(error));
  }
}

export const NO_SERVER_HALF = new ServiceError(
  'no_server_half',
  'The server half of Second Brain is not loaded.',
  "Run pip install sbf-kernel in the environment that runs JupyterLab, then restart it.",
  404
);

/** A page of a version of a source, and how wide its picture is, in pixels. */
export interface PageWanted {
  source_id: string;
  version_id: string;
  page: number;
  width: number;
}

const STOPPED = new ServiceError('cancelled', 'Stopped.');

/** One line of a stream. */
export interface Line {
  record?: string;
  value?: any;
  error?: { code: string; message: string; hint: string };
  path?: string;
  name?: string;
  end?: boolean;
}

export class Service {
  /** Address of an SBF service from the settings; empty: what the Jupyter server is set up to use. */
  address = '';
  private _server = ServerConnection.makeSettings();

  /** Find out whether the server half is there, and whether it is of this version; null when all is well. */
  async check(): Promise<ServiceError | null> {
    try {
      const status = await (await this._send('status', { method: 'GET' })).json();
      return status.version === version
        ? null
        : new ServiceError(
            'version_mismatch',
            `This page is Second Brain ${version}, its server half is ${status.version}.`,
            "Run pip install -U sbf-kernel, restart JupyterLab and reload this page."
          );
    } catch (error) {
      const problem = ServiceError.from(error);
      return problem.status === 404 ? NO_SERVER_HALF : problem;
    }
  }

  /** Carry out an operation and return its record. `background`: it does not count as somebody being at work. */
  async call<T>(name: string, fields: object = {}, background = false): Promise<T> {
    const query = background ? '?no_track_activity=1' : '';
    const response = await this._send(`call/${name}${query}`, { method: 'POST', body: JSON.stringify(fields) });
    return response.json();
  }

  /** Carry out a streaming operation and yield its records as they come. */
  async *stream(name: string, fields: object, signal?: AbortSignal): AsyncGenerator<Line> {
    const response = await this._send(`stream/${name}`, { method: 'POST', body: JSON.stringify(fields), signal });
    try {
      for await (const line of lines(response)) {
        if (line.error) {
          throw new ServiceError(line.error.code, line.error.message, line.error.hint);
        }
        yield line;
      }
    } catch (error) {
      throw signal?.aborted ? STOPPED : error;
    }
  }

  /** Add files and folders of the file browser; yields a line per file. */
  async *addFiles(notebookId: string, paths: string[]): AsyncGenerator<Line> {
    const body = JSON.stringify({ notebook_id: notebookId, paths });
    for await (const line of lines(await this._send('files', { method: 'POST', body }))) {
      if (line.error && line.path === undefined) {
        throw new ServiceError(line.error.code, line.error.message, line.error.hint);
      }
      yield line;
    }
  }

  /** Add a file of this computer. */
  async upload<T>(notebookId: string, file: File): Promise<T> {
    const query = new URLSearchParams({ notebook_id: notebookId, name: file.name });
    return (await this._send(`upload?${query}`, { method: 'POST', body: file })).json();
  }

  /** Return the picture of a page, and how many pages there are. The browser keeps it: a version never changes. */
  async page(wanted: PageWanted, signal: AbortSignal): Promise<{ picture: Blob; pages: number }> {
    const query = new URLSearchParams(Object.entries(wanted).map(([name, value]) => [name, String(value)]));
    const response = await this._send(`page?${query}`, { method: 'GET', cache: 'default', signal });
    return { picture: await response.blob(), pages: Number(response.headers.get('X-SBF-Pages')) };
  }

  private async _send(path: string, init: RequestInit): Promise<Response> {
    const headers = { 'Content-Type': 'application/json', ...(this.address && { 'X-SBF-Service': this.address }) };
    const url = URLExt.join(this._server.baseUrl, 'sbf/api') + '/' + path;
    let response: Response;
    try {
      response = await ServerConnection.makeRequest(url, { ...init, headers }, this._server);
    } catch (error) {
      if (init.signal?.aborted) {
        throw STOPPED;
      }
      throw new ServiceError('unreachable', 'The Jupyter server does not answer.', 'Is it still running?');
    }
    if (!response.ok) {
      const problem = await response.json().catch(() => ({}));
      const told = problem.code ? problem : { code: 'error', message: response.statusText, hint: '' };
      throw new ServiceError(told.code, told.message, told.hint, response.status);
    }
    return response;
  }
}

/** Yield the lines of a response as they come; a response that breaks off is an error. */
async function* lines(response: Response): AsyncGenerator<Line> {
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  const decoder = new TextDecoder();
  let rest = '';
  try {
    for (;;) {
      const { done, value } = await reader.read();
      const parts = (rest + decoder.decode(value, { stream: !done })).split('\n');
      rest = parts.pop() as string;
      for (const part of parts.filter(Boolean)) {
        const line: Line = JSON.parse(part);
        if (line.end) {
          return;
        }
        yield line;
        if (line.error && line.path === undefined) {
          return;
        }
      }
      if (done) {
        throw new ServiceError('unreachable', 'The connection was lost in the middle.', 'Try again.');
      }
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
