"""What happens to stored chats in time: they age, expire and go; and what people are told."""
