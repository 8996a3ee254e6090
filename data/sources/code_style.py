# Small functions in one house style, written by hand, ten to a topic.
# Above each: what it does, as the question says it, and one check that the maker runs.
# make_code_style.py checks the rules and turns each function into one example.


# topic: counting in texts


# counts the vowels in a text
# >>> count_vowels("Lantern") == 2
def count_vowels(text: str) -> int:
    """Count the vowels in a text."""
    return sum(letter in "aeiou" for letter in text.lower())


# counts how often a word occurs in a text without punctuation, in any case
# >>> count_word("The cat saw the dog", "THE") == 2
def count_word(text: str, word: str) -> int:
    """Count how often a word occurs in a text."""
    return text.lower().split().count(word.lower())


# returns how often each letter occurs in a word
# >>> letter_counts("noon") == {"n": 2, "o": 2}
def letter_counts(word: str) -> dict[str, int]:
    """Return how often each letter occurs."""
    counts: dict[str, int] = {}
    for letter in word:
        counts[letter] = counts.get(letter, 0) + 1
    return counts


# counts the lines of a text that are not blank
# >>> count_filled_lines("one\n\n  \ntwo") == 2
def count_filled_lines(text: str) -> int:
    """Count the lines that are not blank."""
    return sum(bool(line.strip()) for line in text.splitlines())


# counts the sentences in a text by their final marks
# >>> count_sentences("Stop! Who goes there? A friend.") == 3
def count_sentences(text: str) -> int:
    """Count the sentences by their final marks."""
    return sum(text.count(mark) for mark in ".!?")


# counts the digits in a text
# >>> count_digits("room 101, floor 3") == 4
def count_digits(text: str) -> int:
    """Count the digits in a text."""
    return sum(sign.isdigit() for sign in text)


# counts the capital letters in a text
# >>> count_capitals("Anna and Bo") == 2
def count_capitals(text: str) -> int:
    """Count the capital letters in a text."""
    total = 0
    for letter in text:
        if letter.isupper():
            total += 1
    return total


# counts the different words in a list, in any case
# >>> distinct_words(["No", "means", "no"]) == 2
def distinct_words(words: list[str]) -> int:
    """Count the different words in a list."""
    return len({word.lower() for word in words})


# finds the letter that occurs most often in a word
# >>> commonest_letter("banana") == "a"
def commonest_letter(word: str) -> str:
    """Find the letter that occurs most often."""
    return max(word, key=word.count)


# counts the words of a list that are longer than a given length
# >>> count_long_words(["a", "bee", "saw", "flowers"], 3) == 1
def count_long_words(words: list[str], length: int) -> int:
    """Count the words longer than a given length."""
    return len([word for word in words if len(word) > length])


# topic: lists of numbers


# returns the mean of a list of numbers
# >>> mean_value([2.0, 4.0, 9.0]) == 5.0
def mean_value(numbers: list[float]) -> float:
    """Return the mean of the numbers."""
    return sum(numbers) / len(numbers)


# returns the middle number of a list with an odd length
# >>> middle_number([9, 1, 5]) == 5
def middle_number(numbers: list[int]) -> int:
    """Return the middle number of an odd list."""
    ordered = sorted(numbers)
    return ordered[len(ordered) // 2]


# keeps only the even numbers of a list
# >>> keep_even([1, 2, 3, 4]) == [2, 4]
def keep_even(numbers: list[int]) -> list[int]:
    """Keep only the even numbers."""
    return [number for number in numbers if number % 2 == 0]


# returns the running totals of a list
# >>> running_totals([1, 2, 3]) == [1, 3, 6]
def running_totals(numbers: list[int]) -> list[int]:
    """Return the running totals of the numbers."""
    total, totals = 0, []
    for number in numbers:
        total += number
        totals.append(total)
    return totals


# multiplies all the numbers of a list together
# >>> multiply_all([2, 3, 4]) == 24
def multiply_all(numbers: list[int]) -> int:
    """Multiply all the numbers together."""
    product = 1
    for number in numbers:
        product *= number
    return product


# returns the difference between the largest and the smallest number
# >>> spread_of([4, 9, 2]) == 7
def spread_of(numbers: list[int]) -> int:
    """Return the largest number minus the smallest."""
    return max(numbers) - min(numbers)


# returns the differences between neighbors in a list
# >>> neighbor_gaps([1, 4, 9]) == [3, 5]
def neighbor_gaps(numbers: list[int]) -> list[int]:
    """Return the differences between neighbors."""
    return [numbers[i] - numbers[i - 1] for i in range(1, len(numbers))]


# finds the second largest number without counting repeats
# >>> second_largest([7, 9, 9, 3]) == 7
def second_largest(numbers: list[int]) -> int:
    """Find the second largest number, repeats aside."""
    return sorted(set(numbers))[-2]


# scales positive numbers so that they add up to one
# >>> scale_to_one([1.0, 3.0]) == [0.25, 0.75]
def scale_to_one(numbers: list[float]) -> list[float]:
    """Scale the numbers so that they add up to one."""
    total = sum(numbers)
    return [number / total for number in numbers]


# returns the position of the number nearest to a target
# >>> nearest_position([10, 20, 33], 30) == 2
def nearest_position(numbers: list[int], target: int) -> int:
    """Return the position of the nearest number."""
    gaps = [abs(number - target) for number in numbers]
    return gaps.index(min(gaps))


# topic: dates as strings


# returns the year of a date written as YYYY-MM-DD
# >>> year_of("2031-05-09") == 2031
def year_of(date: str) -> int:
    """Return the year of a date."""
    return int(date[:4])


# turns a date from YYYY-MM-DD into DD/MM/YYYY
# >>> flip_date("2031-05-09") == "09/05/2031"
def flip_date(date: str) -> str:
    """Turn a date into DD/MM/YYYY."""
    year, month, day = date.split("-")
    return f"{day}/{month}/{year}"


# tells whether a year is a leap year
# >>> is_leap_year(2000) and not is_leap_year(2100)
def is_leap_year(year: int) -> bool:
    """Tell whether a year is a leap year."""
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


# finds the earliest of several dates written as YYYY-MM-DD
# >>> earliest_date(["2031-05-09", "2030-12-01"]) == "2030-12-01"
def earliest_date(dates: list[str]) -> str:
    """Find the earliest of several dates."""
    return min(dates)


# builds a date as YYYY-MM-DD from three numbers
# >>> build_date(2031, 5, 9) == "2031-05-09"
def build_date(year: int, month: int, day: int) -> str:
    """Build a date as YYYY-MM-DD."""
    return f"{year:04d}-{month:02d}-{day:02d}"


# returns which quarter of the year a month belongs to
# >>> quarter_of(7) == 3
def quarter_of(month: int) -> int:
    """Return the quarter that a month belongs to."""
    return (month - 1) // 3 + 1


# tells whether two dates written as YYYY-MM-DD fall in one month
# >>> same_month("2031-05-09", "2031-05-30")
def same_month(first: str, second: str) -> bool:
    """Tell whether two dates fall in one month."""
    return first[:7] == second[:7]


# returns the number of days in a month of a common year
# >>> days_in_month(2) == 28
def days_in_month(month: int) -> int:
    """Return the days of a month in a common year."""
    if month == 2:
        return 28
    return 30 if month in (4, 6, 9, 11) else 31


# keeps the dates that belong to a given year
# >>> dates_in_year(["2030-01-02", "2031-05-09"], 2031) == ["2031-05-09"]
def dates_in_year(dates: list[str], year: int) -> list[str]:
    """Keep the dates that belong to a year."""
    return [date for date in dates if date.startswith(f"{year}-")]


# returns the three-letter name of a month
# >>> month_name(12) == "Dec"
def month_name(month: int) -> str:
    """Return the three-letter name of a month."""
    names = "JanFebMarAprMayJunJulAugSepOctNovDec"
    return names[3 * month - 3 : 3 * month]


# topic: geometry


# returns the area of a rectangle
# >>> rectangle_area(3.0, 4.0) == 12.0
def rectangle_area(width: float, height: float) -> float:
    """Return the area of a rectangle."""
    return width * height


# returns the length of the longest side of a right triangle
# >>> hypotenuse_of(3.0, 4.0) == 5.0
def hypotenuse_of(first: float, second: float) -> float:
    """Return the longest side of a right triangle."""
    return (first**2 + second**2) ** 0.5


# tells whether three sides can form a triangle
# >>> is_triangle(3.0, 4.0, 5.0) and not is_triangle(1.0, 2.0, 9.0)
def is_triangle(a: float, b: float, c: float) -> bool:
    """Tell whether three sides can form a triangle."""
    shortest, middle, longest = sorted([a, b, c])
    return shortest + middle > longest


# returns the area of a triangle from its base and height
# >>> triangle_area(6.0, 5.0) == 15.0
def triangle_area(base: float, height: float) -> float:
    """Return the area of a triangle."""
    return base * height / 2


# returns the volume of a box
# >>> box_volume(2.0, 3.0, 4.0) == 24.0
def box_volume(length: float, width: float, height: float) -> float:
    """Return the volume of a box."""
    return length * width * height


# returns the sum of the inner angles of a polygon in degrees
# >>> angle_sum(5) == 540
def angle_sum(sides: int) -> int:
    """Return the sum of a polygon's inner angles."""
    return (sides - 2) * 180


# names a triangle by how many of its sides are equal
# >>> triangle_kind(2, 2, 3) == "isosceles"
def triangle_kind(a: int, b: int, c: int) -> str:
    """Name a triangle by its equal sides."""
    kinds = {1: "equilateral", 2: "isosceles", 3: "scalene"}
    return kinds[len({a, b, c})]


# tells whether a point lies inside a circle around the origin
# >>> inside_circle(1.0, 1.0, 2.0) and not inside_circle(2.0, 2.0, 2.0)
def inside_circle(x: float, y: float, radius: float) -> bool:
    """Tell whether a point lies inside a circle."""
    return x * x + y * y < radius * radius


# mirrors points across the vertical axis
# >>> mirror_points([(1, 2), (-3, 4)]) == [(-1, 2), (3, 4)]
def mirror_points(points: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Mirror the points across the vertical axis."""
    return [(-x, y) for x, y in points]


# returns the surface of a cube from its edge
# >>> cube_surface(2.0) == 24.0
def cube_surface(edge: float) -> float:
    """Return the surface of a cube."""
    face = edge * edge
    return 6 * face


# topic: money


# formats an amount of cents as dollars
# >>> format_cents(1205) == "$12.05"
def format_cents(cents: int) -> str:
    """Format an amount of cents as dollars."""
    return f"${cents // 100}.{cents % 100:02d}"


# adds a tip in percent to a bill and rounds to cents
# >>> add_tip(40.0, 15.0) == 46.0
def add_tip(bill: float, percent: float) -> float:
    """Add a tip in percent to a bill."""
    return round(bill * (1 + percent / 100), 2)


# splits a bill in cents so that the shares differ by one cent at most
# >>> split_bill(1000, 3) == [334, 333, 333]
def split_bill(cents: int, people: int) -> list[int]:
    """Split a bill into nearly equal shares."""
    share, rest = divmod(cents, people)
    return [share + 1] * rest + [share] * (people - rest)


# returns the fewest coins of 25, 10, 5 and 1 cents for an amount
# >>> fewest_coins(41) == 4
def fewest_coins(cents: int) -> int:
    """Return the fewest coins for an amount."""
    coins = 0
    for value in (25, 10, 5, 1):
        coins += cents // value
        cents %= value
    return coins


# returns a balance after yearly interest for some years
# >>> grow_balance(100.0, 10.0, 2) == 121.0
def grow_balance(balance: float, percent: float, years: int) -> float:
    """Return a balance after yearly interest."""
    for _ in range(years):
        balance += balance * percent / 100
    return round(balance, 2)


# converts an amount into another currency at a given rate
# >>> convert_currency(20.0, 1.5) == 30.0
def convert_currency(amount: float, rate: float) -> float:
    """Convert an amount at a given rate."""
    return round(amount * rate, 2)


# returns how many weeks of saving reach a goal
# >>> weeks_to_goal(100, 30) == 4
def weeks_to_goal(goal: int, weekly: int) -> int:
    """Return the weeks of saving that reach a goal."""
    return -(-goal // weekly)


# sums what was spent and leaves out what came in
# >>> total_spent([-5, 20, -7]) == 12
def total_spent(entries: list[int]) -> int:
    """Sum what was spent, without what came in."""
    return -sum(entry for entry in entries if entry < 0)


# reads a price such as $3.50 as a number of cents
# >>> parse_price("$3.50") == 350
def parse_price(price: str) -> int:
    """Read a price as a number of cents."""
    dollars, cents = price.lstrip("$").split(".")
    return int(dollars) * 100 + int(cents)


# returns the pay for the hours worked at an hourly wage
# >>> weekly_pay([8, 7, 8], 20) == 460
def weekly_pay(hours: list[int], wage: int) -> int:
    """Return the pay for the hours worked."""
    return sum(hours) * wage


# topic: temperatures


# converts degrees Celsius to Fahrenheit
# >>> to_fahrenheit(100.0) == 212.0
def to_fahrenheit(celsius: float) -> float:
    """Convert degrees Celsius to Fahrenheit."""
    return celsius * 9 / 5 + 32


# converts degrees Fahrenheit to Celsius
# >>> to_celsius(212.0) == 100.0
def to_celsius(fahrenheit: float) -> float:
    """Convert degrees Fahrenheit to Celsius."""
    return (fahrenheit - 32) * 5 / 9


# describes a temperature as cold, mild or hot
# >>> describe_heat(31.0) == "hot"
def describe_heat(celsius: float) -> str:
    """Describe a temperature in one word."""
    if celsius < 10:
        return "cold"
    return "mild" if celsius < 25 else "hot"


# counts the days of frost in a list of lowest temperatures
# >>> frost_days([-2.0, 1.5, -0.5]) == 2
def frost_days(lows: list[float]) -> int:
    """Count the days of frost."""
    return sum(low < 0 for low in lows)


# returns the position of the warmest day
# >>> warmest_day([12.0, 19.5, 17.0]) == 1
def warmest_day(highs: list[float]) -> int:
    """Return the position of the warmest day."""
    return highs.index(max(highs))


# returns the mean temperature rounded to one decimal
# >>> mean_temperature([20.0, 21.0, 21.0]) == 20.7
def mean_temperature(readings: list[float]) -> float:
    """Return the mean temperature to one decimal."""
    return round(sum(readings) / len(readings), 1)


# tells whether every reading stays within two limits
# >>> stays_within([4.0, 5.5], 2.0, 8.0)
def stays_within(readings: list[float], low: float, high: float) -> bool:
    """Tell whether every reading stays within limits."""
    return all(low <= reading <= high for reading in readings)


# formats a temperature with its sign and unit
# >>> format_degrees(4.26) == "+4.3 C"
def format_degrees(celsius: float) -> str:
    """Format a temperature with sign and unit."""
    return f"{celsius:+.1f} C"


# finds the largest rise from one day to the next
# >>> largest_rise([10, 14, 13, 20]) == 7
def largest_rise(readings: list[int]) -> int:
    """Find the largest rise between two days."""
    rises = [readings[i] - readings[i - 1] for i in range(1, len(readings))]
    return max(rises)


# moves a thermostat one degree toward a target
# >>> step_toward(18, 21) == 19 and step_toward(21, 21) == 21
def step_toward(current: int, target: int) -> int:
    """Move a thermostat one degree toward a target."""
    if current < target:
        return current + 1
    return max(current - 1, target)


# topic: sets


# returns what two lists have in common, in the order of the alphabet
# >>> common_items(["b", "a", "c"], ["a", "b"]) == ["a", "b"]
def common_items(first: list[str], second: list[str]) -> list[str]:
    """Return what two lists have in common."""
    return sorted(set(first) & set(second))


# tells whether a list holds any item twice
# >>> has_repeats([1, 2, 1]) and not has_repeats([1, 2])
def has_repeats(items: list[int]) -> bool:
    """Tell whether any item occurs twice."""
    return len(set(items)) < len(items)


# removes repeated items and keeps the first of each
# >>> remove_repeats(["x", "y", "x"]) == ["x", "y"]
def remove_repeats(items: list[str]) -> list[str]:
    """Remove repeated items and keep their order."""
    return list(dict.fromkeys(items))


# returns the items that only one of two sets holds
# >>> only_in_one({1, 2}, {2, 3}) == {1, 3}
def only_in_one(first: set[int], second: set[int]) -> set[int]:
    """Return the items that only one set holds."""
    return first ^ second


# returns how similar two sets are, from zero to one
# >>> set_similarity({1, 2, 3}, {2, 3, 4}) == 0.5
def set_similarity(first: set[int], second: set[int]) -> float:
    """Return how similar two sets are."""
    together = first | second
    return len(first & second) / len(together)


# joins several sets into one
# >>> join_sets([{1}, {2, 3}, {1}]) == {1, 2, 3}
def join_sets(groups: list[set[int]]) -> set[int]:
    """Join several sets into one."""
    joined: set[int] = set()
    for group in groups:
        joined |= group
    return joined


# tells whether two groups share no member
# >>> share_nothing({"Ann"}, {"Bo", "Cy"})
def share_nothing(first: set[str], second: set[str]) -> bool:
    """Tell whether two groups share no member."""
    return first.isdisjoint(second)


# returns the required items that are missing from a bag
# >>> missing_items({"map", "rope"}, {"rope"}) == ["map"]
def missing_items(required: set[str], packed: set[str]) -> list[str]:
    """Return the required items that are missing."""
    return sorted(required - packed)


# returns the letters that two words share
# >>> shared_letters("stone", "note") == {"t", "o", "n", "e"}
def shared_letters(first: str, second: str) -> set[str]:
    """Return the letters that two words share."""
    return set(first).intersection(second)


# returns every pair of different members once
# >>> all_pairs({"a", "b", "c"}) == [("a", "b"), ("a", "c"), ("b", "c")]
def all_pairs(members: set[str]) -> list[tuple[str, str]]:
    """Return every pair of members once."""
    ordered = sorted(members)
    return [(a, b) for a in ordered for b in ordered if a < b]


# topic: dictionaries


# swaps the keys and the values of a dictionary
# >>> swap_keys({"a": 1, "b": 2}) == {1: "a", 2: "b"}
def swap_keys(table: dict[str, int]) -> dict[int, str]:
    """Swap the keys and the values."""
    return {value: key for key, value in table.items()}


# adds up the values of two dictionaries by key
# >>> add_tables({"a": 1}, {"a": 2, "b": 5}) == {"a": 3, "b": 5}
def add_tables(first: dict[str, int], second: dict[str, int]) -> dict[str, int]:
    """Add up the values of two tables by key."""
    total = dict(first)
    for key, value in second.items():
        total[key] = total.get(key, 0) + value
    return total


# finds the key with the largest value
# >>> key_of_largest({"a": 3, "b": 8}) == "b"
def key_of_largest(table: dict[str, int]) -> str:
    """Find the key with the largest value."""
    return max(table, key=lambda key: table[key])


# keeps the entries whose value reaches a limit
# >>> keep_at_least({"a": 3, "b": 8}, 5) == {"b": 8}
def keep_at_least(table: dict[str, int], limit: int) -> dict[str, int]:
    """Keep the entries that reach a limit."""
    return {key: value for key, value in table.items() if value >= limit}


# groups words by their first letter
# >>> group_by_letter(["ash", "oak", "alder"]) == {"a": ["ash", "alder"], "o": ["oak"]}
def group_by_letter(words: list[str]) -> dict[str, list[str]]:
    """Group words by their first letter."""
    groups: dict[str, list[str]] = {}
    for word in words:
        groups.setdefault(word[0], []).append(word)
    return groups


# looks up a key and falls back to a given value
# >>> look_up({"a": 1}, "z", 0) == 0
def look_up(table: dict[str, int], key: str, fallback: int) -> int:
    """Look up a key or fall back to a value."""
    return table.get(key, fallback)


# pairs a list of keys with a list of values
# >>> pair_up(["a", "b"], [1, 2]) == {"a": 1, "b": 2}
def pair_up(keys: list[str], values: list[int]) -> dict[str, int]:
    """Pair keys with their values."""
    return dict(zip(keys, values, strict=True))


# returns the keys that two dictionaries value differently
# >>> changed_keys({"a": 1, "b": 2}, {"a": 1, "b": 3}) == ["b"]
def changed_keys(old: dict[str, int], new: dict[str, int]) -> list[str]:
    """Return the keys whose values differ."""
    return [key for key in old if key in new and old[key] != new[key]]


# drops the entries with an empty text
# >>> drop_empty({"a": "", "b": "x"}) == {"b": "x"}
def drop_empty(table: dict[str, str]) -> dict[str, str]:
    """Drop the entries with an empty text."""
    return {key: text for key, text in table.items() if text}


# returns the value of each key as a share of the total
# >>> value_shares({"a": 1, "b": 3}) == {"a": 0.25, "b": 0.75}
def value_shares(table: dict[str, int]) -> dict[str, float]:
    """Return each value as a share of the total."""
    total = sum(table.values())
    return {key: value / total for key, value in table.items()}


# topic: sorting


# sorts words by their length and then by the alphabet
# >>> sort_by_length(["pear", "fig", "date"]) == ["fig", "date", "pear"]
def sort_by_length(words: list[str]) -> list[str]:
    """Sort words by length, then by the alphabet."""
    return sorted(words, key=lambda word: (len(word), word))


# returns the three largest numbers, largest first
# >>> top_three([4, 9, 1, 7]) == [9, 7, 4]
def top_three(numbers: list[int]) -> list[int]:
    """Return the three largest numbers."""
    return sorted(numbers, reverse=True)[:3]


# tells whether a list is in rising order
# >>> is_sorted([1, 2, 2]) and not is_sorted([2, 1])
def is_sorted(numbers: list[int]) -> bool:
    """Tell whether a list is in rising order."""
    return numbers == sorted(numbers)


# sorts people, given as name and age, from young to old
# >>> sort_by_age([("Ida", 40), ("Bo", 9)]) == [("Bo", 9), ("Ida", 40)]
def sort_by_age(people: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Sort people from young to old."""
    return sorted(people, key=lambda person: person[1])


# merges two sorted lists into one sorted list
# >>> merge_sorted([1, 5], [2, 9]) == [1, 2, 5, 9]
def merge_sorted(first: list[int], second: list[int]) -> list[int]:
    """Merge two sorted lists into one."""
    return sorted(first + second)


# puts a number into a sorted list at its place
# >>> insert_in_order([1, 4, 8], 5) == [1, 4, 5, 8]
def insert_in_order(numbers: list[int], number: int) -> list[int]:
    """Insert a number at its place."""
    place = sum(other < number for other in numbers)
    return numbers[:place] + [number] + numbers[place:]


# returns the rank of each number, where the largest has rank 1
# >>> rank_numbers([10, 30, 20]) == [3, 1, 2]
def rank_numbers(numbers: list[int]) -> list[int]:
    """Return the rank of each number."""
    ordered = sorted(numbers, reverse=True)
    return [ordered.index(number) + 1 for number in numbers]


# moves all zeros to the end of a list
# >>> zeros_last([0, 3, 0, 1]) == [3, 1, 0, 0]
def zeros_last(numbers: list[int]) -> list[int]:
    """Move all zeros to the end."""
    return sorted(numbers, key=lambda number: number == 0)


# sorts names without regard to capital letters
# >>> sort_names(["bea", "Al", "Cy"]) == ["Al", "bea", "Cy"]
def sort_names(names: list[str]) -> list[str]:
    """Sort names without regard to case."""
    return sorted(names, key=str.lower)


# sorts the letters of a word
# >>> sort_letters("stone") == "enost"
def sort_letters(word: str) -> str:
    """Sort the letters of a word."""
    return "".join(sorted(word))


# topic: file names


# returns the ending of a file name without the dot
# >>> file_ending("report.final.pdf") == "pdf"
def file_ending(name: str) -> str:
    """Return the ending of a file name."""
    return name.rsplit(".", 1)[-1]


# replaces the spaces of a file name with underscores
# >>> safe_name("my notes.txt") == "my_notes.txt"
def safe_name(name: str) -> str:
    """Replace the spaces of a file name."""
    return name.strip().replace(" ", "_")


# returns the last part of a path with slashes
# >>> last_part("home/ana/cv.doc") == "cv.doc"
def last_part(path: str) -> str:
    """Return the last part of a path."""
    return path.split("/")[-1]


# keeps the file names with a given ending
# >>> with_ending(["a.txt", "b.png"], ".png") == ["b.png"]
def with_ending(names: list[str], ending: str) -> list[str]:
    """Keep the file names with an ending."""
    return [name for name in names if name.endswith(ending)]


# adds a number with three digits before the ending
# >>> numbered_name("photo.jpg", 7) == "photo-007.jpg"
def numbered_name(name: str, number: int) -> str:
    """Add a number before the ending."""
    stem, ending = name.rsplit(".", 1)
    return f"{stem}-{number:03d}.{ending}"


# tells whether a file is hidden because its name begins with a dot
# >>> is_hidden(".profile") and not is_hidden("a.txt")
def is_hidden(name: str) -> bool:
    """Tell whether a file name begins with a dot."""
    return name.startswith(".")


# changes the ending of a file name
# >>> change_ending("draft.txt", "md") == "draft.md"
def change_ending(name: str, ending: str) -> str:
    """Change the ending of a file name."""
    stem = name.rpartition(".")[0]
    return f"{stem}.{ending}"


# counts the files for each ending
# >>> count_endings(["a.txt", "b.txt", "c.md"]) == {"txt": 2, "md": 1}
def count_endings(names: list[str]) -> dict[str, int]:
    """Count the files for each ending."""
    counts: dict[str, int] = {}
    for name in names:
        ending = name.split(".")[-1]
        counts[ending] = counts.get(ending, 0) + 1
    return counts


# joins the parts of a path with single slashes
# >>> join_path(["home/", "/ana", "cv.doc"]) == "home/ana/cv.doc"
def join_path(parts: list[str]) -> str:
    """Join the parts of a path."""
    return "/".join(part.strip("/") for part in parts)


# formats a file size in bytes as kilobytes or megabytes
# >>> format_size(2_500_000) == "2.5 MB"
def format_size(size: int) -> str:
    """Format a file size for reading."""
    if size < 1_000_000:
        return f"{size / 1000:.1f} kB"
    return f"{size / 1_000_000:.1f} MB"


# topic: times of day


# turns a time such as 14:05 into minutes since midnight
# >>> to_minutes("14:05") == 845
def to_minutes(clock: str) -> int:
    """Turn a time into minutes since midnight."""
    hours, minutes = clock.split(":")
    return int(hours) * 60 + int(minutes)


# turns minutes since midnight into a time such as 14:05
# >>> to_clock(845) == "14:05"
def to_clock(minutes: int) -> str:
    """Turn minutes since midnight into a time."""
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


# turns seconds into hours, minutes and seconds
# >>> split_seconds(3725) == (1, 2, 5)
def split_seconds(seconds: int) -> tuple[int, int, int]:
    """Turn seconds into hours, minutes and seconds."""
    minutes, rest = divmod(seconds, 60)
    return minutes // 60, minutes % 60, rest


# returns the hour on a clock after some hours have passed
# >>> hour_after(22, 5) == 3
def hour_after(hour: int, passed: int) -> int:
    """Return the hour after some hours have passed."""
    return (hour + passed) % 24


# tells whether an hour belongs to the night, from 22 to 6
# >>> is_night(23) and not is_night(12)
def is_night(hour: int) -> bool:
    """Tell whether an hour belongs to the night."""
    return hour >= 22 or hour < 6


# writes an hour from 0 to 23 with am or pm
# >>> twelve_hour(0) == "12 am" and twelve_hour(15) == "3 pm"
def twelve_hour(hour: int) -> str:
    """Write an hour with am or pm."""
    half = "am" if hour < 12 else "pm"
    return f"{hour % 12 or 12} {half}"


# adds up durations given as minutes and seconds
# >>> add_durations([(3, 40), (2, 30)]) == (6, 10)
def add_durations(durations: list[tuple[int, int]]) -> tuple[int, int]:
    """Add up durations in minutes and seconds."""
    total = sum(60 * minutes + seconds for minutes, seconds in durations)
    return divmod(total, 60)


# greets a person by the hour of the day
# >>> greet_by_hour("Ida", 9) == "Good morning, Ida"
def greet_by_hour(name: str, hour: int) -> str:
    """Greet a person by the hour of the day."""
    part = "morning" if hour < 12 else "evening"
    return f"Good {part}, {name}"


# tells whether two meetings, given by start and end hour, overlap
# >>> meetings_overlap((9, 11), (10, 12)) and not meetings_overlap((9, 10), (10, 11))
def meetings_overlap(first: tuple[int, int], second: tuple[int, int]) -> bool:
    """Tell whether two meetings overlap."""
    return first[0] < second[1] and second[0] < first[1]


# returns the angle of the hour hand in degrees
# >>> hour_hand_angle(3, 30) == 105.0
def hour_hand_angle(hour: int, minute: int) -> float:
    """Return the angle of the hour hand."""
    return hour % 12 * 30 + minute / 2


# topic: dice


# returns the sum of a roll of dice
# >>> roll_total([3, 6, 2]) == 11
def roll_total(roll: list[int]) -> int:
    """Return the sum of a roll."""
    return sum(roll)


# tells whether all the dice of a roll show the same
# >>> all_alike([4, 4, 4]) and not all_alike([4, 5])
def all_alike(roll: list[int]) -> bool:
    """Tell whether all the dice show the same."""
    return len(set(roll)) == 1


# counts the sixes in a roll
# >>> count_sixes([6, 1, 6]) == 2
def count_sixes(roll: list[int]) -> int:
    """Count the sixes in a roll."""
    return roll.count(6)


# sums a roll after dropping its lowest die
# >>> drop_lowest([3, 6, 2, 5]) == 14
def drop_lowest(roll: list[int]) -> int:
    """Sum a roll without its lowest die."""
    return sum(roll) - min(roll)


# returns the ways in which two dice reach a total
# >>> ways_to_reach(7) == 6
def ways_to_reach(total: int) -> int:
    """Return the ways in which two dice reach a total."""
    faces = range(1, 7)
    return sum(first + second == total for first in faces for second in faces)


# returns the face opposite to a face of a common die
# >>> opposite_face(2) == 5
def opposite_face(face: int) -> int:
    """Return the face on the other side of a die."""
    return 7 - face


# tells whether a roll of five dice is a full house
# >>> is_full_house([2, 2, 3, 3, 3]) and not is_full_house([1, 2, 3, 3, 3])
def is_full_house(roll: list[int]) -> bool:
    """Tell whether a roll is a full house."""
    return sorted(roll.count(face) for face in set(roll)) == [2, 3]


# returns the mean of one roll of a die with some sides
# >>> expected_roll(6) == 3.5
def expected_roll(sides: int) -> float:
    """Return the mean roll of a die."""
    return (sides + 1) / 2


# returns the chance of at least one six in some rolls
# >>> chance_of_six(1) == 0.167
def chance_of_six(rolls: int) -> float:
    """Return the chance of at least one six."""
    return round(1 - (5 / 6) ** rolls, 3)


# reads dice notation such as 3d6 as two numbers
# >>> parse_dice("3d6") == (3, 6)
def parse_dice(notation: str) -> tuple[int, int]:
    """Read dice notation as two numbers."""
    dice, sides = notation.split("d")
    return int(dice), int(sides)


# topic: grades


# turns a score out of 100 into a letter from A to F
# >>> letter_grade(85) == "B"
def letter_grade(score: int) -> str:
    """Turn a score into a letter."""
    for limit, letter in ((90, "A"), (80, "B"), (70, "C"), (60, "D")):
        if score >= limit:
            return letter
    return "F"


# counts the students who passed with a given mark or better
# >>> count_passed([40, 75, 60], 60) == 2
def count_passed(scores: list[int], mark: int) -> int:
    """Count the students who passed."""
    return len([score for score in scores if score >= mark])


# returns a weighted mean of grades
# >>> weighted_grade([80.0, 90.0], [1.0, 3.0]) == 87.5
def weighted_grade(grades: list[float], weights: list[float]) -> float:
    """Return the weighted mean of the grades."""
    total = sum(g * w for g, w in zip(grades, weights, strict=True))
    return total / sum(weights)


# finds the student with the best score
# >>> best_student({"Ida": 88, "Bo": 93}) == "Bo"
def best_student(scores: dict[str, int]) -> str:
    """Find the student with the best score."""
    return max(scores, key=scores.__getitem__)


# adds bonus points to a score but never goes beyond 100
# >>> add_bonus(97, 5) == 100
def add_bonus(score: int, bonus: int) -> int:
    """Add bonus points up to a score of 100."""
    return min(score + bonus, 100)


# returns the percentage of right answers in a quiz
# >>> quiz_percent(["a", "c"], ["a", "b"]) == 50.0
def quiz_percent(answers: list[str], key: list[str]) -> float:
    """Return the percentage of right answers."""
    right = sum(given == true for given, true in zip(answers, key, strict=True))
    return 100 * right / len(key)


# lists the students below a mark in the order of the alphabet
# >>> needs_help({"Ida": 48, "Bo": 93, "Al": 30}, 50) == ["Al", "Ida"]
def needs_help(scores: dict[str, int], mark: int) -> list[str]:
    """List the students below a mark."""
    return sorted(name for name, score in scores.items() if score < mark)


# returns how far each score lies from the class mean
# >>> distance_from_mean([70.0, 90.0]) == [-10.0, 10.0]
def distance_from_mean(scores: list[float]) -> list[float]:
    """Return how far each score lies from the mean."""
    mean = sum(scores) / len(scores)
    return [score - mean for score in scores]


# returns the mean of the grades without the worst one
# >>> mean_without_worst([50, 80, 90]) == 85.0
def mean_without_worst(grades: list[int]) -> float:
    """Return the mean without the worst grade."""
    kept = sorted(grades)[1:]
    return sum(kept) / len(kept)


# writes one line for a report card
# >>> report_line("Ida", "math", 91) == "Ida: math 91/100"
def report_line(name: str, subject: str, score: int) -> str:
    """Write one line for a report card."""
    return f"{name}: {subject} {score}/100"


# topic: distances


# converts miles to kilometers
# >>> miles_to_km(10.0) == 16.09
def miles_to_km(miles: float) -> float:
    """Convert miles to kilometers."""
    return round(miles * 1.609344, 2)


# returns the straight distance between two points
# >>> point_distance((0.0, 0.0), (6.0, 8.0)) == 10.0
def point_distance(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Return the straight distance between two points."""
    return ((a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2) ** 0.5


# returns the steps between two places on a street grid
# >>> street_steps((1, 1), (4, 3)) == 5
def street_steps(start: tuple[int, int], end: tuple[int, int]) -> int:
    """Return the steps between two places on a grid."""
    across, up = end[0] - start[0], end[1] - start[1]
    return abs(across) + abs(up)


# returns the average speed of a trip in kilometers per hour
# >>> average_speed(90.0, 45.0) == 120.0
def average_speed(kilometers: float, minutes: float) -> float:
    """Return the average speed of a trip."""
    hours = minutes / 60
    return kilometers / hours


# returns the total length of a route through stops on a line
# >>> route_length([0, 5, 2]) == 8
def route_length(stops: list[int]) -> int:
    """Return the total length of a route."""
    return sum(abs(stops[i] - stops[i - 1]) for i in range(1, len(stops)))


# finds the stop that is closest to a given place
# >>> closest_stop([2, 9, 14], 10) == 9
def closest_stop(stops: list[int], place: int) -> int:
    """Find the stop that is closest to a place."""
    return min(stops, key=lambda stop: abs(stop - place))


# formats meters as meters or kilometers
# >>> format_meters(1500) == "1.5 km" and format_meters(80) == "80 m"
def format_meters(meters: int) -> str:
    """Format meters for reading."""
    if meters < 1000:
        return f"{meters} m"
    return f"{meters / 1000:.1f} km"


# returns the fuel in liters that a trip needs
# >>> fuel_needed(250.0, 6.0) == 15.0
def fuel_needed(kilometers: float, per_hundred: float) -> float:
    """Return the fuel that a trip needs."""
    return kilometers * per_hundred / 100


# converts feet and inches to centimeters
# >>> feet_to_cm(5, 10) == 177.8
def feet_to_cm(feet: int, inches: int) -> float:
    """Convert feet and inches to centimeters."""
    total = feet * 12 + inches
    return round(total * 2.54, 1)


# tells whether a walker reaches home before dark
# >>> home_in_time(6.0, 4.0, 2.0) and not home_in_time(9.0, 4.0, 2.0)
def home_in_time(kilometers: float, speed: float, daylight: float) -> bool:
    """Tell whether a walker is home before dark."""
    return kilometers / speed <= daylight


# topic: recipes


# scales the amounts of a recipe to more or fewer people
# >>> scale_recipe({"flour": 200.0}, 4, 6) == {"flour": 300.0}
def scale_recipe(amounts: dict[str, float], old: int, new: int) -> dict[str, float]:
    """Scale a recipe to another number of people."""
    return {item: amount * new / old for item, amount in amounts.items()}


# converts cups to milliliters
# >>> cups_to_ml(1.5) == 360
def cups_to_ml(cups: float) -> int:
    """Convert cups to milliliters."""
    return round(cups * 240)


# tells whether the pantry holds every ingredient
# >>> can_cook(["egg", "salt"], {"egg", "salt", "oil"})
def can_cook(needed: list[str], pantry: set[str]) -> bool:
    """Tell whether the pantry holds every ingredient."""
    return pantry.issuperset(needed)


# adds up the minutes of all steps of a recipe
# >>> total_minutes([("chop", 5), ("fry", 12)]) == 17
def total_minutes(steps: list[tuple[str, int]]) -> int:
    """Add up the minutes of all steps."""
    return sum(minutes for _, minutes in steps)


# writes an ingredient with its amount and unit
# >>> ingredient_line("flour", 250, "g") == "250 g of flour"
def ingredient_line(name: str, amount: int, unit: str) -> str:
    """Write an ingredient with its amount."""
    return f"{amount} {unit} of {name}"


# returns how many full batches the eggs allow
# >>> full_batches(10, 3) == 3
def full_batches(eggs: int, per_batch: int) -> int:
    """Return how many full batches the eggs allow."""
    return eggs // per_batch


# numbers the steps of a recipe from one
# >>> number_steps(["Mix", "Bake"]) == ["1. Mix", "2. Bake"]
def number_steps(steps: list[str]) -> list[str]:
    """Number the steps from one."""
    return [f"{number}. {step}" for number, step in enumerate(steps, 1)]


# finds the recipe that takes the least time
# >>> quickest_recipe({"soup": 30, "salad": 10}) == "salad"
def quickest_recipe(minutes: dict[str, int]) -> str:
    """Find the recipe that takes the least time."""
    return min(minutes, key=lambda recipe: minutes[recipe])


# returns the calories of one portion
# >>> calories_each([300, 150, 50], 2) == 250
def calories_each(parts: list[int], portions: int) -> int:
    """Return the calories of one portion."""
    return sum(parts) // portions


# converts spoons into milliliters, where a tablespoon holds 15 and a teaspoon 5
# >>> spoons_to_ml(2, 1) == 35
def spoons_to_ml(tablespoons: int, teaspoons: int) -> int:
    """Convert spoons into milliliters."""
    return 15 * tablespoons + 5 * teaspoons


# topic: changing words


# reverses a word
# >>> reverse_word("lamp") == "pmal"
def reverse_word(word: str) -> str:
    """Reverse a word."""
    return word[::-1]


# tells whether a word reads the same backward
# >>> is_palindrome("Level") and not is_palindrome("lamp")
def is_palindrome(word: str) -> bool:
    """Tell whether a word reads the same backward."""
    lower = word.lower()
    return lower == lower[::-1]


# removes the vowels from a text
# >>> remove_vowels("lighthouse") == "lghths"
def remove_vowels(text: str) -> str:
    """Remove the vowels from a text."""
    return "".join(letter for letter in text if letter.lower() not in "aeiou")


# shifts each small letter by some places in the alphabet
# >>> shift_letters("xyz", 2) == "zab"
def shift_letters(word: str, places: int) -> str:
    """Shift each letter by some places."""
    alphabet = "abcdefghijklmnopqrstuvwxyz"
    return "".join(alphabet[(alphabet.index(c) + places) % 26] for c in word)


# shortens a text to a length and adds three dots
# >>> shorten_text("a long story", 6) == "a long..."
def shorten_text(text: str, length: int) -> str:
    """Shorten a text to a length."""
    if len(text) <= length:
        return text
    return text[:length] + "..."


# turns a name in snake case into camel case
# >>> to_camel("my_first_name") == "myFirstName"
def to_camel(name: str) -> str:
    """Turn snake case into camel case."""
    first, *others = name.split("_")
    return first + "".join(part.title() for part in others)


# repeats each letter of a word a number of times
# >>> stretch_word("hey", 2) == "hheeyy"
def stretch_word(word: str, times: int) -> str:
    """Repeat each letter of a word."""
    return "".join(letter * times for letter in word)


# hides all but the last letters of a word with stars
# >>> hide_letters("secret", 2) == "****et"
def hide_letters(word: str, shown: int) -> str:
    """Hide all but the last letters."""
    hidden = len(word) - shown
    return "*" * hidden + word[hidden:]


# returns the plural of a simple English noun
# >>> plural_of("box") == "boxes" and plural_of("cat") == "cats"
def plural_of(noun: str) -> str:
    """Return the plural of a simple noun."""
    if noun.endswith(("s", "x", "ch", "sh")):
        return noun + "es"
    return noun + "s"


# tells whether two words are made of the same letters
# >>> are_anagrams("listen", "silent") and not are_anagrams("cat", "cot")
def are_anagrams(first: str, second: str) -> bool:
    """Tell whether two words have the same letters."""
    return sorted(first) == sorted(second)


# topic: names of people


# returns the initials of a full name
# >>> initials_of("Ada Marie Holm") == "A.M.H."
def initials_of(name: str) -> str:
    """Return the initials of a full name."""
    return "".join(f"{part[0]}." for part in name.split())


# puts the last name first with a comma
# >>> last_name_first("Ada Holm") == "Holm, Ada"
def last_name_first(name: str) -> str:
    """Put the last name first."""
    first, last = name.rsplit(" ", 1)
    return f"{last}, {first}"


# joins names with commas and a final and
# >>> join_names(["Ann", "Bo", "Cy"]) == "Ann, Bo and Cy"
def join_names(names: list[str]) -> str:
    """Join names with commas and a final and."""
    if len(names) < 2:
        return "".join(names)
    return ", ".join(names[:-1]) + " and " + names[-1]


# builds a user name from a first and a last name
# >>> user_name("Ada", "Holm") == "aholm"
def user_name(first: str, last: str) -> str:
    """Build a user name from two names."""
    return (first[0] + last).lower()


# tidies a name so that each part begins with a capital
# >>> tidy_name("  ada  HOLM ") == "Ada Holm"
def tidy_name(name: str) -> str:
    """Tidy the spaces and capitals of a name."""
    return " ".join(part.capitalize() for part in name.split())


# groups full names by their family name
# >>> by_family(["Ada Holm", "Bo Holm"]) == {"Holm": ["Ada", "Bo"]}
def by_family(names: list[str]) -> dict[str, list[str]]:
    """Group full names by family name."""
    families: dict[str, list[str]] = {}
    for name in names:
        first, family = name.split()
        families.setdefault(family, []).append(first)
    return families


# finds the longest name in a list of guests
# >>> longest_name(["Bo", "Ingrid", "Cy"]) == "Ingrid"
def longest_name(guests: list[str]) -> str:
    """Find the longest name."""
    return max(guests, key=len)


# makes a polite greeting with a title and a family name
# >>> polite_greeting("Dr.", "Holm") == "Dear Dr. Holm,"
def polite_greeting(title: str, family: str) -> str:
    """Make a polite greeting."""
    return f"Dear {title} {family},"


# numbers guests that share the same first name
# >>> number_guests(["Bo", "Ann", "Bo"]) == ["Bo 1", "Ann 1", "Bo 2"]
def number_guests(guests: list[str]) -> list[str]:
    """Number guests that share a name."""
    return [f"{g} {guests[: i + 1].count(g)}" for i, g in enumerate(guests)]


# keeps the guests whose name begins with a given letter
# >>> guests_with(["Ann", "Bo", "Al"], "A") == ["Ann", "Al"]
def guests_with(guests: list[str], letter: str) -> list[str]:
    """Keep the guests whose name begins with a letter."""
    return [guest for guest in guests if guest.startswith(letter)]


# topic: grids


# builds a grid of zeros with rows and columns
# >>> zero_grid(2, 3) == [[0, 0, 0], [0, 0, 0]]
def zero_grid(rows: int, columns: int) -> list[list[int]]:
    """Build a grid of zeros."""
    return [[0] * columns for _ in range(rows)]


# turns the rows of a grid into columns
# >>> transpose_grid([[1, 2], [3, 4]]) == [[1, 3], [2, 4]]
def transpose_grid(grid: list[list[int]]) -> list[list[int]]:
    """Turn the rows of a grid into columns."""
    return [list(column) for column in zip(*grid, strict=True)]


# returns the sum of each row of a grid
# >>> row_sums([[1, 2], [3, 4]]) == [3, 7]
def row_sums(grid: list[list[int]]) -> list[int]:
    """Return the sum of each row."""
    return [sum(row) for row in grid]


# puts all rows of a grid into one list
# >>> flatten_grid([[1], [2, 3]]) == [1, 2, 3]
def flatten_grid(grid: list[list[int]]) -> list[int]:
    """Put all rows into one list."""
    return [cell for row in grid for cell in row]


# finds the largest cell of a grid
# >>> largest_cell([[1, 9], [3, 4]]) == 9
def largest_cell(grid: list[list[int]]) -> int:
    """Find the largest cell of a grid."""
    return max(max(row) for row in grid)


# returns the diagonal of a square grid
# >>> diagonal_of([[1, 2], [3, 4]]) == [1, 4]
def diagonal_of(grid: list[list[int]]) -> list[int]:
    """Return the diagonal of a square grid."""
    return [grid[i][i] for i in range(len(grid))]


# counts the cells of a grid that hold a given mark
# >>> count_marks(["x.x", "..x"], "x") == 3
def count_marks(grid: list[str], mark: str) -> int:
    """Count the cells that hold a mark."""
    total = 0
    for row in grid:
        total += row.count(mark)
    return total


# tells whether a position lies on a board of a given size
# >>> on_board(0, 7, 8) and not on_board(0, 8, 8)
def on_board(row: int, column: int, size: int) -> bool:
    """Tell whether a position lies on the board."""
    return 0 <= row < size and 0 <= column < size


# mirrors each row of a grid from left to right
# >>> mirror_rows([[1, 2], [3, 4]]) == [[2, 1], [4, 3]]
def mirror_rows(grid: list[list[int]]) -> list[list[int]]:
    """Mirror each row from left to right."""
    return [row[::-1] for row in grid]


# draws a rectangle of stars as text
# >>> draw_rectangle(3, 2) == "***\n***"
def draw_rectangle(width: int, height: int) -> str:
    """Draw a rectangle of stars."""
    row = "*" * width
    return "\n".join([row] * height)


# topic: checking input


# tells whether a password has a length of eight or more and a digit
# >>> strong_password("lantern7") and not strong_password("lantern")
def strong_password(password: str) -> bool:
    """Tell whether a password is long and has a digit."""
    return len(password) >= 8 and any(sign.isdigit() for sign in password)


# tells whether a text looks like an email address
# >>> looks_like_email("ida@home.org") and not looks_like_email("ida.org")
def looks_like_email(text: str) -> bool:
    """Tell whether a text looks like an email address."""
    name, _, domain = text.partition("@")
    return bool(name) and "." in domain


# limits a number to a range
# >>> clamp_number(12, 0, 10) == 10
def clamp_number(number: int, low: int, high: int) -> int:
    """Limit a number to a range."""
    return max(low, min(number, high))


# tells whether an answer means yes
# >>> means_yes(" Yes ") and not means_yes("nope")
def means_yes(answer: str) -> bool:
    """Tell whether an answer means yes."""
    return answer.strip().lower() in ("y", "yes", "sure", "ok")


# reads a whole number and falls back to zero
# >>> read_number("42") == 42 and read_number("x") == 0
def read_number(text: str) -> int:
    """Read a whole number or fall back to zero."""
    if not text.isdigit():
        return 0
    return int(text)


# returns the names of the form fields that were left empty
# >>> empty_fields({"name": "Ida", "town": " "}) == ["town"]
def empty_fields(form: dict[str, str]) -> list[str]:
    """Return the fields that were left empty."""
    return [field for field, text in form.items() if not text.strip()]


# tells whether the brackets of a text are balanced
# >>> brackets_match("(a(b))") and not brackets_match(")(")
def brackets_match(text: str) -> bool:
    """Tell whether the brackets are balanced."""
    depth = 0
    for sign in text:
        depth += (sign == "(") - (sign == ")")
        if depth < 0:
            return False
    return depth == 0


# removes everything but the digits from a phone number
# >>> only_digits("(555) 010-22") == "55501022"
def only_digits(phone: str) -> str:
    """Remove everything but the digits."""
    return "".join(sign for sign in phone if sign.isdigit())


# tells whether an age is allowed for a ticket
# >>> age_allowed(12, 6, 14) and not age_allowed(5, 6, 14)
def age_allowed(age: int, youngest: int, oldest: int) -> bool:
    """Tell whether an age is allowed."""
    return youngest <= age <= oldest


# returns the last digit of the sum of all digits as a check digit
# >>> check_digit("978") == 4
def check_digit(code: str) -> int:
    """Return a check digit for a code."""
    total = sum(int(sign) for sign in code)
    return total % 10


# topic: number patterns


# returns the first numbers of the Fibonacci sequence
# >>> first_fibonacci(6) == [0, 1, 1, 2, 3, 5]
def first_fibonacci(count: int) -> list[int]:
    """Return the first Fibonacci numbers."""
    numbers = [0, 1]
    while len(numbers) < count:
        numbers.append(numbers[-1] + numbers[-2])
    return numbers[:count]


# tells whether a number is prime
# >>> is_prime(13) and not is_prime(1) and not is_prime(15)
def is_prime(number: int) -> bool:
    """Tell whether a number is prime."""
    return number > 1 and all(number % d for d in range(2, number))


# returns the factorial of a number
# >>> factorial_of(5) == 120
def factorial_of(number: int) -> int:
    """Return the factorial of a number."""
    result = 1
    for factor in range(2, number + 1):
        result *= factor
    return result


# returns all divisors of a number
# >>> divisors_of(12) == [1, 2, 3, 4, 6, 12]
def divisors_of(number: int) -> list[int]:
    """Return all divisors of a number."""
    return [d for d in range(1, number + 1) if number % d == 0]


# returns the greatest common divisor of two numbers
# >>> common_divisor(12, 18) == 6
def common_divisor(first: int, second: int) -> int:
    """Return the greatest common divisor."""
    while second:
        first, second = second, first % second
    return first


# returns the sum of the digits of a number
# >>> digit_sum(407) == 11
def digit_sum(number: int) -> int:
    """Return the sum of the digits."""
    return sum(int(digit) for digit in str(number))


# returns the first square numbers
# >>> first_squares(4) == [1, 4, 9, 16]
def first_squares(count: int) -> list[int]:
    """Return the first square numbers."""
    return [number**2 for number in range(1, count + 1)]


# counts the steps of halving that bring a number down to one
# >>> halving_steps(16) == 4
def halving_steps(number: int) -> int:
    """Count the steps of halving down to one."""
    steps = 0
    while number > 1:
        number //= 2
        steps += 1
    return steps


# writes a number in binary digits
# >>> to_binary(10) == "1010"
def to_binary(number: int) -> str:
    """Write a number in binary digits."""
    return f"{number:b}"


# returns the multiplication table of a number up to ten
# >>> times_table(3)[-1] == 30
def times_table(number: int) -> list[int]:
    """Return the multiplication table of a number."""
    return [number * factor for factor in range(1, 11)]


# topic: shopping


# returns the total price of a shopping cart of prices and amounts
# >>> cart_total([(3, 2), (5, 1)]) == 11
def cart_total(cart: list[tuple[int, int]]) -> int:
    """Return the total price of a cart."""
    return sum(price * amount for price, amount in cart)


# lowers a price by a percentage
# >>> discount_price(80.0, 25.0) == 60.0
def discount_price(price: float, percent: float) -> float:
    """Lower a price by a percentage."""
    return price - price * percent / 100


# finds the cheapest product
# >>> cheapest_product({"pen": 2, "cup": 7}) == "pen"
def cheapest_product(prices: dict[str, int]) -> str:
    """Find the cheapest product."""
    return sorted(prices, key=lambda product: prices[product])[0]


# returns the shipping fee, which is free from an order of 50
# >>> shipping_fee(30) == 5 and shipping_fee(50) == 0
def shipping_fee(order: int) -> int:
    """Return the shipping fee of an order."""
    return 0 if order >= 50 else 5


# takes the sold items out of the stock
# >>> update_stock({"pen": 9}, {"pen": 2}) == {"pen": 7}
def update_stock(stock: dict[str, int], sold: dict[str, int]) -> dict[str, int]:
    """Take the sold items out of the stock."""
    return {item: left - sold.get(item, 0) for item, left in stock.items()}


# returns the price for a number of items when every third is free
# >>> third_free(7, 10) == 50
def third_free(items: int, price: int) -> int:
    """Return the price when every third item is free."""
    paid = items - items // 3
    return paid * price


# lists the products that are sold out
# >>> sold_out({"pen": 0, "cup": 4}) == ["pen"]
def sold_out(stock: dict[str, int]) -> list[str]:
    """List the products that are sold out."""
    return [product for product, left in stock.items() if left == 0]


# compares two offers by price per gram and names the better one
# >>> better_offer(200, 500, 300, 1000) == "second"
def better_offer(price_a: int, grams_a: int, price_b: int, grams_b: int) -> str:
    """Name the offer with the lower price per gram."""
    return "first" if price_a / grams_a < price_b / grams_b else "second"


# adds a tax in percent to every price of a list
# >>> add_tax([10.0, 20.0], 10.0) == [11.0, 22.0]
def add_tax(prices: list[float], percent: float) -> list[float]:
    """Add a tax to every price."""
    return [round(price * (1 + percent / 100), 2) for price in prices]


# returns the items of a list that fit into a budget, in order
# >>> within_budget([4, 9, 3], 8) == [4, 3]
def within_budget(prices: list[int], budget: int) -> list[int]:
    """Return the prices that fit into a budget."""
    chosen = []
    for price in prices:
        if price <= budget:
            chosen.append(price)
            budget -= price
    return chosen


# topic: weather records


# returns the total rain of a week
# >>> weekly_rain([0.0, 4.5, 1.5]) == 6.0
def weekly_rain(days: list[float]) -> float:
    """Return the total rain of a week."""
    return round(sum(days), 1)


# counts the dry days of a month
# >>> dry_days([0.0, 3.2, 0.0]) == 2
def dry_days(rain: list[float]) -> int:
    """Count the dry days."""
    return rain.count(0.0)


# returns the length of the longest run of rainy days
# >>> longest_wet_spell([1, 2, 0, 3]) == 2
def longest_wet_spell(rain: list[int]) -> int:
    """Return the longest run of rainy days."""
    longest = current = 0
    for amount in rain:
        current = current + 1 if amount else 0
        longest = max(longest, current)
    return longest


# names the compass direction of a wind in degrees
# >>> wind_direction(95) == "east"
def wind_direction(degrees: int) -> str:
    """Name the compass direction of a wind."""
    names = ["north", "east", "south", "west"]
    return names[(degrees + 45) // 90 % 4]


# tells whether a storm warning is due at a wind speed, that is above 75
# >>> storm_warning(80.0) and not storm_warning(40.0)
def storm_warning(speed: float) -> bool:
    """Tell whether a storm warning is due."""
    return speed > 75.0


# returns the wettest month of a table of rain
# >>> wettest_month({"May": 40, "June": 65}) == "June"
def wettest_month(rain: dict[str, int]) -> str:
    """Return the wettest month."""
    most = max(rain.values())
    return [month for month, amount in rain.items() if amount == most][0]


# converts a wind speed from knots to kilometers per hour
# >>> knots_to_kmh(10.0) == 18.5
def knots_to_kmh(knots: float) -> float:
    """Convert knots to kilometers per hour."""
    return round(knots * 1.852, 1)


# fills missing readings with the reading before them
# >>> fill_missing([5, None, 7, None]) == [5, 5, 7, 7]
def fill_missing(readings: list[int | None]) -> list[int | None]:
    """Fill missing readings with the one before."""
    filled: list[int | None] = []
    for reading in readings:
        filled.append(filled[-1] if reading is None and filled else reading)
    return filled


# writes a forecast in one line
# >>> forecast_line("Monday", 12, 30) == "Monday: 12 C, 30% rain"
def forecast_line(day: str, degrees: int, chance: int) -> str:
    """Write a forecast in one line."""
    return f"{day}: {degrees} C, {chance}% rain"


# returns the mean of the readings around each hour, three at a time
# >>> smooth_readings([3, 6, 9, 0]) == [6.0, 5.0]
def smooth_readings(readings: list[int]) -> list[float]:
    """Return the mean of each three neighbors."""
    return [sum(readings[i : i + 3]) / 3 for i in range(len(readings) - 2)]


# topic: votes


# counts the votes for each candidate
# >>> tally_votes(["Ann", "Bo", "Ann"]) == {"Ann": 2, "Bo": 1}
def tally_votes(votes: list[str]) -> dict[str, int]:
    """Count the votes for each candidate."""
    return {name: votes.count(name) for name in votes}


# returns the winner of an election
# >>> winner_of({"Ann": 20, "Bo": 35}) == "Bo"
def winner_of(tally: dict[str, int]) -> str:
    """Return the winner of an election."""
    return max(tally.items(), key=lambda entry: entry[1])[0]


# tells whether a motion has more than half of the votes
# >>> has_majority(6, 11) and not has_majority(5, 10)
def has_majority(yes: int, total: int) -> bool:
    """Tell whether a motion has a majority."""
    return 2 * yes > total


# returns the turnout of an election in percent
# >>> turnout_percent(450, 600) == 75.0
def turnout_percent(ballots: int, voters: int) -> float:
    """Return the turnout in percent."""
    return round(100 * ballots / voters, 1)


# removes the invalid ballots that name no candidate
# >>> valid_ballots(["Ann", "Zed"], {"Ann", "Bo"}) == ["Ann"]
def valid_ballots(ballots: list[str], candidates: set[str]) -> list[str]:
    """Remove the ballots that name no candidate."""
    return [ballot for ballot in ballots if ballot in candidates]


# returns the lead of the winner over the runner-up
# >>> winning_margin([12, 30, 25]) == 5
def winning_margin(results: list[int]) -> int:
    """Return the lead of the winner."""
    first, second = sorted(results, reverse=True)[:2]
    return first - second


# tells whether an election ended in a tie
# >>> ended_in_tie([9, 9, 4]) and not ended_in_tie([9, 8])
def ended_in_tie(results: list[int]) -> bool:
    """Tell whether an election ended in a tie."""
    return results.count(max(results)) > 1


# lists the candidates from most to fewest votes
# >>> candidate_order({"Ann": 2, "Bo": 7}) == ["Bo", "Ann"]
def candidate_order(tally: dict[str, int]) -> list[str]:
    """List the candidates by their votes."""
    return sorted(tally, key=lambda name: tally[name], reverse=True)


# returns how many votes are needed for two thirds
# >>> votes_needed(10) == 7
def votes_needed(members: int) -> int:
    """Return the votes needed for two thirds."""
    return (2 * members + 2) // 3


# adds up the results of several districts
# >>> sum_districts([{"Ann": 3}, {"Ann": 4, "Bo": 1}]) == {"Ann": 7, "Bo": 1}
def sum_districts(districts: list[dict[str, int]]) -> dict[str, int]:
    """Add up the results of several districts."""
    sums: dict[str, int] = {}
    for district in districts:
        for name, votes in district.items():
            sums[name] = sums.get(name, 0) + votes
    return sums


# topic: colors


# writes red, green and blue as a hex color
# >>> to_hex(255, 128, 0) == "#ff8000"
def to_hex(red: int, green: int, blue: int) -> str:
    """Write a color in hex digits."""
    return f"#{red:02x}{green:02x}{blue:02x}"


# reads a hex color as red, green and blue
# >>> from_hex("#ff8000") == (255, 128, 0)
def from_hex(color: str) -> tuple[int, int, int]:
    """Read a hex color as three numbers."""
    red, green, blue = bytes.fromhex(color[1:])
    return red, green, blue


# inverts a color
# >>> invert_color((255, 100, 0)) == (0, 155, 255)
def invert_color(color: tuple[int, int, int]) -> tuple[int, int, int]:
    """Invert a color."""
    red, green, blue = color
    return 255 - red, 255 - green, 255 - blue


# mixes two colors in equal parts
# >>> mix_colors([200, 0, 50], [100, 50, 50]) == [150, 25, 50]
def mix_colors(first: list[int], second: list[int]) -> list[int]:
    """Mix two colors in equal parts."""
    return [(a + b) // 2 for a, b in zip(first, second, strict=True)]


# tells whether a color is a shade of gray
# >>> is_gray(90, 90, 90) and not is_gray(90, 80, 90)
def is_gray(red: int, green: int, blue: int) -> bool:
    """Tell whether a color is a shade of gray."""
    return red == green == blue


# returns the brightness of a color as the mean of its parts
# >>> color_brightness(30, 60, 90) == 60.0
def color_brightness(red: int, green: int, blue: int) -> float:
    """Return the brightness of a color."""
    return (red + green + blue) / 3


# darkens every part of a color by a percentage
# >>> darken_color([200, 100, 0], 50) == [100, 50, 0]
def darken_color(parts: list[int], percent: int) -> list[int]:
    """Darken every part of a color."""
    return [part * (100 - percent) // 100 for part in parts]


# chooses black or white text for a background brightness
# >>> text_color(200) == "black"
def text_color(brightness: int) -> str:
    """Choose a text color for a background."""
    if brightness > 127:
        return "black"
    return "white"


# names the strongest part of a color
# >>> strongest_part({"red": 10, "green": 200, "blue": 90}) == "green"
def strongest_part(color: dict[str, int]) -> str:
    """Name the strongest part of a color."""
    strongest = max(color.values())
    return next(part for part, amount in color.items() if amount == strongest)


# counts the pixels of a given color in a picture of rows
# >>> count_pixels([["red", "blue"], ["red", "red"]], "red") == 3
def count_pixels(picture: list[list[str]], color: str) -> int:
    """Count the pixels of a color."""
    return sum(row.count(color) for row in picture)


# topic: library books


# returns the fine for days that a book is overdue
# >>> overdue_fine(5, 20) == 100 and overdue_fine(-2, 20) == 0
def overdue_fine(days: int, daily: int) -> int:
    """Return the fine for an overdue book."""
    return max(0, days) * daily


# lists the titles by one author
# >>> titles_by([("Salt", "Holm"), ("Rye", "Berg")], "Berg") == ["Rye"]
def titles_by(books: list[tuple[str, str]], author: str) -> list[str]:
    """List the titles by one author."""
    return [title for title, writer in books if writer == author]


# tells whether a reader may borrow one more book
# >>> may_borrow(3, 5) and not may_borrow(5, 5)
def may_borrow(borrowed: int, limit: int) -> bool:
    """Tell whether a reader may borrow a book."""
    return borrowed < limit


# returns the shelf mark of a book from its author and year
# >>> shelf_mark("Holm", 2031) == "HOL-2031"
def shelf_mark(author: str, year: int) -> str:
    """Return the shelf mark of a book."""
    return f"{author[:3].upper()}-{year}"


# returns the days that a reader needs for a book
# >>> reading_days(310, 25) == 13
def reading_days(pages: int, daily: int) -> int:
    """Return the days that a book takes to read."""
    days, rest = divmod(pages, daily)
    return days + 1 if rest else days


# finds the oldest book of a shelf of titles and years
# >>> oldest_book({"Salt": 1990, "Rye": 1950}) == "Rye"
def oldest_book(shelf: dict[str, int]) -> str:
    """Find the oldest book of a shelf."""
    return min(shelf, key=lambda title: shelf[title])


# ignores a leading article when it returns the key to sort a title by
# >>> title_key("The Lamp") == "lamp"
def title_key(title: str) -> str:
    """Return the key to sort a title by."""
    lower = title.lower()
    for article in ("the ", "an ", "a "):
        if lower.startswith(article):
            return lower.removeprefix(article)
    return lower


# counts the books that each reader has borrowed
# >>> loans_per_reader([("Ida", "Salt"), ("Ida", "Rye")]) == {"Ida": 2}
def loans_per_reader(loans: list[tuple[str, str]]) -> dict[str, int]:
    """Count the books of each reader."""
    books: dict[str, int] = {}
    for reader, _ in loans:
        books[reader] = books.get(reader, 0) + 1
    return books


# returns the share of a book that has been read
# >>> share_read(50, 200) == 0.25
def share_read(page: int, pages: int) -> float:
    """Return the share of a book that is read."""
    return page / pages


# removes the dashes from a book number and tells whether 13 digits are left
# >>> valid_book_number("978-0-00-000000-2") and not valid_book_number("978-1")
def valid_book_number(number: str) -> bool:
    """Tell whether a book number has 13 digits."""
    digits = number.replace("-", "")
    return len(digits) == 13 and digits.isdigit()


# topic: gardens


# returns how many plants fit into a row with a given spacing
# >>> plants_in_row(100, 25) == 5
def plants_in_row(length: int, spacing: int) -> int:
    """Return how many plants fit into a row."""
    return length // spacing + 1


# returns the liters of water that the beds of a garden need
# >>> water_needed([2.0, 3.5], 4.0) == 22.0
def water_needed(areas: list[float], liters: float) -> float:
    """Return the water that the beds need."""
    return sum(area * liters for area in areas)


# lists the plants that need water today
# >>> thirsty_plants({"fern": 4, "cactus": 1}, 3) == ["fern"]
def thirsty_plants(days_dry: dict[str, int], limit: int) -> list[str]:
    """List the plants that need water."""
    return [plant for plant, days in days_dry.items() if days >= limit]


# returns the height of a plant after some weeks of growth
# >>> plant_height(10.0, 2.5, 4) == 20.0
def plant_height(start: float, weekly: float, weeks: int) -> float:
    """Return the height after some weeks."""
    return start + weekly * weeks


# returns the fence length around a rectangular bed
# >>> fence_length(4.0, 2.5) == 13.0
def fence_length(length: float, width: float) -> float:
    """Return the fence length around a bed."""
    return 2 * (length + width)


# tells whether two beds need crop rotation because a crop repeats
# >>> needs_rotation(["bean", "corn"], ["bean", "kale"])
def needs_rotation(last_year: list[str], this_year: list[str]) -> bool:
    """Tell whether a crop repeats in its bed."""
    return any(a == b for a, b in zip(last_year, this_year, strict=True))


# returns the seeds to sow when only some percent sprout
# >>> seeds_to_sow(45, 90) == 50
def seeds_to_sow(plants: int, percent: int) -> int:
    """Return the seeds to sow for some plants."""
    seeds = 100 * plants / percent
    return round(seeds)


# plans a bed by repeating the plants in turn
# >>> plan_bed(["leek", "beet"], 3) == ["leek", "beet", "leek"]
def plan_bed(plants: list[str], places: int) -> list[str]:
    """Plan a bed by repeating the plants."""
    return [plants[place % len(plants)] for place in range(places)]


# weighs the harvest of each crop over several days
# >>> total_harvest([("kale", 2), ("kale", 3)]) == {"kale": 5}
def total_harvest(baskets: list[tuple[str, int]]) -> dict[str, int]:
    """Weigh the harvest of each crop."""
    harvest: dict[str, int] = {}
    for crop, weight in baskets:
        harvest[crop] = harvest.get(crop, 0) + weight
    return harvest


# names the season of a month in the north
# >>> season_of(1) == "winter" and season_of(10) == "autumn"
def season_of(month: int) -> str:
    """Name the season of a month."""
    seasons = ["winter", "spring", "summer", "autumn"]
    return seasons[month % 12 // 3]


# topic: music


# returns the length of a playlist in seconds
# >>> playlist_length([("Tide", 200), ("Moon", 145)]) == 345
def playlist_length(songs: list[tuple[str, int]]) -> int:
    """Return the length of a playlist."""
    return sum(seconds for _, seconds in songs)


# returns how long one beat lasts at a tempo
# >>> beat_seconds(120) == 0.5
def beat_seconds(tempo: int) -> float:
    """Return how long one beat lasts."""
    return 60 / tempo


# moves a note up by some half tones
# >>> move_note("A", 3) == "C"
def move_note(note: str, steps: int) -> str:
    """Move a note up by some half tones."""
    notes = ["C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B"]
    return notes[(notes.index(note) + steps) % 12]


# returns the frequency one or more octaves higher
# >>> octaves_up(440.0, 2) == 1760.0
def octaves_up(frequency: float, octaves: int) -> float:
    """Return the frequency some octaves higher."""
    return frequency * 2**octaves


# counts the beats in a measure of note lengths
# >>> beats_in_measure([1.0, 0.5, 0.5, 2.0]) == 4.0
def beats_in_measure(notes: list[float]) -> float:
    """Count the beats in a measure."""
    beats = 0.0
    for length in notes:
        beats += length
    return beats


# finds the song that was played most
# >>> most_played(["Tide", "Moon", "Tide"]) == "Tide"
def most_played(history: list[str]) -> str:
    """Find the song that was played most."""
    return max(sorted(set(history)), key=history.count)


# removes songs that follow themselves in a playlist
# >>> skip_echoes(["Tide", "Tide", "Moon"]) == ["Tide", "Moon"]
def skip_echoes(songs: list[str]) -> list[str]:
    """Remove songs that follow themselves."""
    return [s for i, s in enumerate(songs) if i == 0 or s != songs[i - 1]]


# writes a song as its title and artist
# >>> song_label("Tide", "The Oars") == "Tide - The Oars"
def song_label(title: str, artist: str) -> str:
    """Write a song as its title and artist."""
    return f"{title} - {artist}"


# tells whether a voice can sing every note of a melody
# >>> can_sing([60, 64, 67], 55, 70) and not can_sing([60, 72], 55, 70)
def can_sing(melody: list[int], lowest: int, highest: int) -> bool:
    """Tell whether a voice can sing a melody."""
    return lowest <= min(melody) and max(melody) <= highest


# names a tempo as slow, medium or fast
# >>> tempo_name(140) == "fast"
def tempo_name(tempo: int) -> str:
    """Name a tempo in one word."""
    if tempo < 76:
        return "slow"
    if tempo < 120:
        return "medium"
    return "fast"


# topic: parcels


# returns the postage of a parcel by its weight in grams
# >>> parcel_postage(300) == 4 and parcel_postage(1200) == 9
def parcel_postage(grams: int) -> int:
    """Return the postage of a parcel."""
    for limit, price in ((500, 4), (1000, 6), (2000, 9)):
        if grams <= limit:
            return price
    return 15


# tells whether a parcel fits through a slot
# >>> fits_slot(20, 3, 25, 4) and not fits_slot(30, 3, 25, 4)
def fits_slot(width: int, height: int, slot_width: int, slot_height: int) -> bool:
    """Tell whether a parcel fits through a slot."""
    return width <= slot_width and height <= slot_height


# returns the heaviest parcel of a delivery
# >>> heaviest_parcel({"A1": 300, "B2": 950}) == "B2"
def heaviest_parcel(weights: dict[str, int]) -> str:
    """Return the heaviest parcel."""
    return sorted(weights, key=lambda parcel: weights[parcel])[-1]


# writes an address label on three lines
# >>> address_label("Ida", "Quay 1", "Holm") == "Ida\nQuay 1\nHolm"
def address_label(name: str, street: str, town: str) -> str:
    """Write an address label on three lines."""
    return "\n".join([name, street, town])


# groups parcels by the town they go to
# >>> parcels_by_town([("A1", "Holm"), ("B2", "Holm")]) == {"Holm": ["A1", "B2"]}
def parcels_by_town(parcels: list[tuple[str, str]]) -> dict[str, list[str]]:
    """Group parcels by their town."""
    towns: dict[str, list[str]] = {}
    for parcel, town in parcels:
        towns.setdefault(town, []).append(parcel)
    return towns


# returns how many vans carry a number of parcels
# >>> vans_needed(101, 50) == 3
def vans_needed(parcels: int, per_van: int) -> int:
    """Return how many vans carry the parcels."""
    return (parcels + per_van - 1) // per_van


# lists the parcels that have not arrived
# >>> still_missing(["A1", "B2"], ["B2"]) == ["A1"]
def still_missing(sent: list[str], arrived: list[str]) -> list[str]:
    """List the parcels that have not arrived."""
    return [parcel for parcel in sent if parcel not in arrived]


# converts kilograms to pounds
# >>> kg_to_pounds(10.0) == 22.05
def kg_to_pounds(kilograms: float) -> float:
    """Convert kilograms to pounds."""
    return round(kilograms / 0.45359237, 2)


# makes a tracking number from a country and a counter
# >>> tracking_number("no", 42) == "NO000042"
def tracking_number(country: str, counter: int) -> str:
    """Make a tracking number."""
    return f"{country.upper()}{counter:06d}"


# packs weights into boxes in order without passing a limit
# >>> pack_boxes([4, 5, 2, 9], 9) == [[4, 5], [2], [9]]
def pack_boxes(weights: list[int], limit: int) -> list[list[int]]:
    """Pack weights into boxes in order."""
    boxes: list[list[int]] = [[]]
    for weight in weights:
        if sum(boxes[-1]) + weight > limit:
            boxes.append([])
        boxes[-1].append(weight)
    return boxes
