#!/usr/bin/env node
import { launch } from '../../peer/launch.mjs'

await launch('ropewalk-relay', import.meta.url, new URL('../main.ts', import.meta.url))
