"""Given names of people from many countries."""

from hamner.data.builtin_text.words import each_word

GIVEN_NAMES = each_word("""
Aaron Abdul Abigail Adam Adriana Agnes Ahmed Aiko Aisha Akira Alan Albert Alejandro Alice Alma Amara Amelia Amina
Amir Amit Ana Anders Andrea Andrew Anita Anja Anna Annika Anton Antonia Arjun Arthur Asha Astrid Axel Ayesha Aylin
Beatrice Ben Benedikt Bernard Bianca Bjorn Boris Brenda Brian Bruno Camille Carla Carlos Carmen Caroline Cecilia
Celine Chen Chiara Chinedu Chloe Clara Claudia Connor Cristina Daisy Daniel Daria David Deepa Dennis Diana Diego
Dimitri Dora Dorothy Edith Edward Ehab Eileen Ekaterina Elena Eliza Ella Elsa Emeka Emil Emily Emma Enrique Eric
Erika Esra Esther Ethan Eva Evelyn Fabian Farah Fatima Felix Fernando Fiona Flora Florian Francesca Frank Freya
Gabriel George Gerda Giovanni Giulia Gloria Grace Greta Gustav Hana Hannah Hans Harry Hassan Heidi Helen Helga
Henry Hiroshi Hugo Ian Ibrahim Ida Igor Ines Ingrid Irene Isaac Isabel Ivan Ivana Jack Jacob Jakub Jamal James Jan
Jana Jasmine Javier Jenny Joan Joanna Joao Johan John Jonas Jose Joseph Joyce Juan Julia Julian Kamal Karen Karim
Karl Kate Katarina Keiko Kenji Kevin Khadija Kim Klaus Kofi Kwame Laila Lars Laura Layla Lea Leila Lena Leo Leon
Lily Linda Ling Lisa Lorenzo Louis Louise Lucas Lucia Luis Luna Magda Malik Manuel Marco Margaret Maria Mario
Marta Martin Mary Mateo Matilda Matthew Mei Mia Michael Miguel Mila Milan Mina Mohamed Molly Monika Nadia Naomi
Natalia Nathan Nia Nicole Nikolai Nina Noah Nora Nuria Olga Oliver Olivia Omar Oscar Otto Pablo Patricia Paul Paula
Pedro Peter Petra Philip Pia Piotr Priya Rachel Rafael Rahul Raj Ravi Rebecca Renata Ricardo Rita Robert Rosa Ruth
Sadia Salma Sam Samira Samuel Sandra Santiago Sara Sean Selin Sergei Simon Sofia Sonia Stefan Stella Sunita Susan
Sven Tanja Tariq Teresa Theo Thomas Tom Tomas Ulrike Uma Valentina Vera Victor Vikram Viola Walter Wanda Wei Xavier
Yara Yasmin Yuki Yusuf Yvonne Zahra Zara Zoe Zofia
""")
PET_NAMES = each_word("""Biscuit Bella Bingo Blacky Brownie Bubbles Charlie Coco Cookie Domino Fluffy Ginger Hazel
Honey Lucky Lulu Maxi Milo Minka Misty Mocha Mogli Muffin Nibbles Nutmeg Olly Patch Peanut Pepper Pickles Pippa
Poppy Pudding Rocky Rusty Scout Shadow Smokey Snowy Socks Sparky Spot Teddy Tiger Tilly Toffee Whiskers Willow""")
