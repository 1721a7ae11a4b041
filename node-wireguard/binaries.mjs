// What cargo makes of this crate, as data: build.mjs lays it down, pack.mjs ships it. Plain JavaScript: both run at install time.

/** The programs beside the engine. A `command` is for people: it becomes a `bin` of the published package. */
export const PROGRAMS = [
  { name: 'node-wireguard', command: true },
  { name: 'node-wireguard-namespace', command: false },
]

/** Platforms that are published ready-built; elsewhere the package builds itself from its sources. With what it takes to build
 *  for them on another one: Rust's name, and a C compiler as Debian names it. */
export const PLATFORMS = [
  {
    name: 'linux-x64-gnu',
    os: 'linux',
    cpu: 'x64',
    libc: 'glibc',
    rust: 'x86_64-unknown-linux-gnu',
    cc: 'x86_64-linux-gnu-gcc',
  },
  {
    name: 'linux-arm64-gnu',
    os: 'linux',
    cpu: 'arm64',
    libc: 'glibc',
    rust: 'aarch64-unknown-linux-gnu',
    cc: 'aarch64-linux-gnu-gcc',
  },
]

const LIBRARIES = { linux: 'libnode_wireguard.so', darwin: 'libnode_wireguard.dylib' }

/** The engine as cargo names it. */
export const LIBRARY = LIBRARIES[process.platform] ?? 'node_wireguard.dll'

/** The published platform that this process runs on, if there is one. */
export function platform() {
  const { os, cpu, libc } = { os: process.platform, cpu: process.arch, libc: libcOf() }
  return PLATFORMS.find((each) => each.os === os && each.cpu === cpu && each.libc === libc)
}

function libcOf() {
  if (process.platform !== 'linux') return undefined
  process.report.excludeNetwork = true // it would look up names
  return process.report.getReport().header.glibcVersionRuntime === undefined ? 'musl' : 'glibc'
}
