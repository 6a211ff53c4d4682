"""PyPI `centrifuge-python`, unchanged and with its default options, with everything that it was told."""

import asyncio

import centrifuge

from harness import address, api


class Room(centrifuge.SubscriptionEventHandler):
    """Everything that a subscription was told."""

    def __init__(self):
        self.publications, self.subscribing, self.subscribed, self.ended, self.comings = [], [], [], [], []
        # How long the application takes over each subscribed event.
        self.pause_s = 0

    async def on_publication(self, context):
        self.publications.append(context.pub)

    async def on_subscribing(self, context):
        self.subscribing.append(context.code)

    async def on_subscribed(self, context):
        self.subscribed.append(context)
        await asyncio.sleep(self.pause_s)

    async def on_unsubscribed(self, context):
        self.ended.append(getattr(context, "code", None))

    async def on_join(self, context):
        self.comings.append(("join", context.info))

    async def on_leave(self, context):
        self.comings.append(("leave", context.info))

    @property
    def data(self):
        return [publication.data for publication in self.publications]

    @property
    def answers(self):
        """What the server said to each subscribe: whether it was asked to recover, and whether it did."""
        return [(context.was_recovering, context.recovered) for context in self.subscribed]


class Heard(centrifuge.ClientEventHandler):
    """Everything that a client was told; `rooms` are those that the server subscribed."""

    def __init__(self):
        self.connected, self.connecting, self.disconnected, self.errors = [], [], [], []
        self.rooms, self.published = {}, []

    def room(self, channel):
        return self.rooms.setdefault(channel, Room())

    async def on_connected(self, context):
        self.connected.append(context.client)

    async def on_connecting(self, context):
        self.connecting.append(context.code)

    async def on_disconnected(self, context):
        self.disconnected.append(context.code)

    async def on_error(self, context):
        self.errors.append(getattr(context.error, "code", context.error))

    async def on_subscribed(self, context):
        await self.room(context.channel).on_subscribed(context)

    async def on_unsubscribed(self, context):
        await self.room(context.channel).on_unsubscribed(context)

    async def on_publication(self, context):
        self.published.append((context.channel, context.pub.data))
        await self.room(context.channel).on_publication(context)


def client(at=None, **options):
    heard = Heard()
    return centrifuge.Client(f"ws://{at or address()}/connection/websocket", events=heard, **options), heard


async def subscribe(to, channel, **options):
    room = Room()
    subscription = to.new_subscription(channel, events=room, **options)
    await subscription.subscribe()
    return subscription, room


async def call(method, body, at=None):
    return await asyncio.to_thread(api, method, body, at)


async def code_of(awaitable):
    """The code of the error that a call to the SDK ends with."""
    try:
        await awaitable
        return "no error"
    except centrifuge.ReplyError as error:
        return error.code
