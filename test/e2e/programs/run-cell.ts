// Runs one cell on a Jupyter server as a notebook does: a kernel by REST, the code and its output by WebSocket.
//   node run-cell.ts URL TOKEN CODE
import { randomUUID } from 'node:crypto'

const [url = '', token = '', code = ''] = process.argv.slice(2)
const TIMEOUT_MS = 30_000

interface Message {
  readonly header: { readonly msg_type: string }
  readonly parent_header: { readonly msg_id?: string }
  readonly content: { readonly text?: string; readonly status?: string; readonly execution_state?: string }
}

async function api(path: string, method: string): Promise<Response> {
  const answer = await fetch(new URL(path, url), {
    method,
    headers: { authorization: `token ${token}` },
    signal: AbortSignal.timeout(TIMEOUT_MS),
  })
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`)
  return answer
}

const kernel = (await (await api('/api/kernels', 'POST')).json()) as { id: string }
const socket = new WebSocket(
  new URL(`/api/kernels/${kernel.id}/channels?token=${token}`, url.replace(/^http/, 'ws')).href,
)
const id = randomUUID()
const request = {
  header: { msg_id: id, msg_type: 'execute_request', session: randomUUID(), username: '', date: '', version: '5.3' },
  parent_header: {},
  metadata: {},
  channel: 'shell',
  content: { code, silent: false, store_history: false, user_expressions: {}, allow_stdin: false, stop_on_error: true },
}
const timer = setTimeout(() => {
  console.error('no answer from the kernel')
  process.exit(1)
}, TIMEOUT_MS)
socket.addEventListener('error', () => {
  console.error('the WebSocket failed')
  process.exit(1)
})
socket.addEventListener('open', () => socket.send(JSON.stringify(request)))
socket.addEventListener('message', async ({ data }) => {
  const { header, parent_header, content } = JSON.parse(String(data)) as Message
  if (parent_header.msg_id !== id) return
  if (header.msg_type === 'stream') process.stdout.write(content.text ?? '')
  if (header.msg_type !== 'status' || content.execution_state !== 'idle') return
  clearTimeout(timer)
  socket.close()
  await api(`/api/kernels/${kernel.id}`, 'DELETE')
})
