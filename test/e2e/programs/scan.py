# Which of these TCP ports take a connection: scan.py ADDRESS PORT...  prints them, one a line.
import asyncio
import sys

LIMIT_S = 1.0


async def takes(address, port, gate):
    async with gate:
        try:
            _, writer = await asyncio.wait_for(asyncio.open_connection(address, port), LIMIT_S)
        except (OSError, asyncio.TimeoutError):
            return None
        writer.close()
        return port


async def main(address, ports):
    gate = asyncio.Semaphore(200)
    for port in await asyncio.gather(*(takes(address, port, gate) for port in ports)):
        if port is not None:
            print(port)


asyncio.run(main(sys.argv[1], [int(port) for port in sys.argv[2:]]))
